"""The parameter vector: its names, where each entry stands, and the way between its two forms."""

import numpy as np
import pytest

from util.fit.parameters import PIECES, Layout

LAYOUTS = [
    Layout(),
    Layout(1, 2),
    Layout(3, 6, ("background",)),
    Layout(2, 4, ("background", "blob")),
    Layout(2, 6, PIECES),
]


def vector(layout, seed=210):
    """Make an internal vector whose numbers of electrons are well above zero."""
    q = np.random.default_rng(seed).normal(0, 1, layout.size)
    q[layout.N] = 1e3 + 10 * q[layout.N]
    q[layout.blob[:1]] = 500.0
    return q


def test_names_stand_sphere_by_sphere_then_nuisances_then_the_centre():
    layout = Layout(2, 4, ("background",))
    of_spheres = ["N_1", "R_1", "sigma_R_1", "beta_2_1", "beta_4_1", "N_2", "R_2", "sigma_R_2", "beta_2_2", "beta_4_2"]
    assert list(layout.names) == [*of_spheres, "background", "centre_x", "centre_z"]
    assert layout.degrees == (2, 4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_index_is_that_of_its_name(layout):
    names = np.array(layout.names)
    spheres = range(1, layout.spheres + 1)
    assert layout.size == names.size == len(set(layout.names))
    for index, name in ((layout.N, "N"), (layout.R, "R"), (layout.sigma_R, "sigma_R")):
        assert names[index].tolist() == [f"{name}_{s}" for s in spheres]
    assert names[layout.beta].tolist() == [[f"beta_{degree}_{s}" for degree in layout.degrees] for s in spheres]
    assert names[layout.centre].tolist() == ["centre_x", "centre_z"]
    assert [layout.names[layout.index(name)] for name in layout.nuisances] == list(layout.nuisances)
    told = {*layout.N, *layout.centre, *(layout.index(name) for name in layout.nuisances)}
    assert layout.shape.tolist() == [i for i in range(layout.size) if i not in told]
    wanted = [[f"beta_{degree}_{s}" for degree in layout.odd_degrees] for s in spheres]
    assert names[layout.odd_beta].tolist() == wanted
    assert names[layout.blob].tolist() == [name for name in names if name.startswith("blob")]
    of_pieces = [layout.of_piece(piece) for piece in layout.pieces]
    assert sorted(np.concatenate([[], *of_pieces])) == [layout.index(name) for name in layout.nuisances]
    for s, row in zip(spheres, layout.blocks, strict=True):
        assert row.size == 3 + len(layout.degrees) and all(name.endswith(f"_{s}") for name in names[row])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_read_back_from_its_names(layout):
    assert Layout.from_names(list(layout.names)) == layout


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda _: [], "expected centre_x, found nothing"),
        (lambda names: names[:-1], "expected .*, found .*"),
        (lambda names: [name for name in names if name != "beta_4_2"], "expected beta_4_2, found centre_x"),
        (lambda names: [name for name in names if name != "sigma_R_1"], "expected sigma_R_1, found beta_2_1"),
        (lambda names: [names[1], names[0], *names[2:]], "expected N_1, found R_1"),
    ],
)
def test_names_that_no_layout_has_are_refused(spoil, message):
    with pytest.raises(ValueError, match=message):
        Layout.from_names(spoil(list(Layout(2, 4).names)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_internal_form_has_n_beta_in_place_of_beta_and_nothing_else_changed(layout):
    q = vector(layout)
    values, _ = layout.to_public(q)
    wanted = dict(zip(layout.names, q, strict=True))
    for s in range(1, layout.spheres + 1):
        for degree in layout.degrees:
            wanted[f"beta_{degree}_{s}"] /= wanted[f"N_{s}"]
        for degree in layout.odd_degrees:
            wanted[f"beta_{degree}_{s}"] /= wanted[f"N_{s}"]
    for index in layout.blob[3:]:
        wanted[layout.names[index]] /= wanted["blob_N"]
    assert np.allclose(values, list(wanted.values()), rtol=1e-14)
    assert np.allclose(layout.to_internal(values), q, rtol=1e-14)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_public_form_has_the_stated_derivatives(layout):
    q = vector(layout)
    _, by_q = layout.to_public(q)
    for i in range(layout.size):
        h = 1e-6 * max(abs(q[i]), 1.0)
        step = h * (np.arange(layout.size) == i)
        difference = (layout.to_public(q + step)[0] - layout.to_public(q - step)[0]) / (2 * h)
        assert np.allclose(by_q[:, i], difference, rtol=1e-6, atol=1e-9)


def test_spheres_are_put_in_the_order_of_their_radii_with_all_that_is_theirs():
    layout = Layout(3, 4, ("background",))
    q = vector(layout)
    q[layout.R] = 0.8, 0.3, 0.5
    ordered = q[layout.ascending(q)]
    assert ordered[layout.R].tolist() == [0.3, 0.5, 0.8]
    assert np.array_equal(ordered[layout.blocks], q[layout.blocks[[1, 2, 0]]])
    assert np.array_equal(ordered[layout.blocks.size :], q[layout.blocks.size :])


def test_betas_beyond_a_degree_are_those_of_higher_degree_of_each_sphere():
    layout = Layout(2, 6)
    assert [layout.names[i] for i in layout.beta[layout.beyond((2, 4))]] == ["beta_4_1", "beta_6_1", "beta_6_2"]
    assert not layout.beyond((6, 6)).any()


def test_what_is_not_known_of_spheres_is_nan_and_what_is_not_fitted_is_left_out():
    layout = Layout(2, 4)
    known = dict(zip(layout.names, layout.known((0.5, 0.8), (0.01, 0.02), ((0.1,), (0.2, 0.3, 0.4))), strict=True))
    told = {"R_1": 0.5, "sigma_R_1": 0.01, "beta_2_1": 0.1}
    told |= {"R_2": 0.8, "sigma_R_2": 0.02, "beta_2_2": 0.2, "beta_4_2": 0.3}
    assert {name: value for name, value in known.items() if np.isfinite(value)} == told


def test_pieces_stand_in_one_order_whatever_the_order_in_which_they_were_named():
    assert Layout(2, 4, ("blob", "rotation", "background")) == Layout(2, 4, ("background", "rotation", "blob"))


def test_an_unknown_piece_is_refused():
    with pytest.raises(ValueError, match="found tilt"):
        Layout(2, 4, ("tilt",))


def test_odd_betas_go_with_their_sphere():
    layout = Layout(2, 4, ("odd",))
    q = vector(layout)
    q[layout.R] = 0.8, 0.3
    ordered = q[layout.ascending(q)]
    assert np.array_equal(ordered[layout.odd_beta], q[layout.odd_beta[::-1]])


def test_the_geometry_is_read_by_name_and_what_is_not_fitted_is_that_of_a_perfect_detector():
    layout = Layout(1, 2, ("rotation",))
    geometry = layout.geometry_of(np.arange(layout.size, dtype=float))
    assert geometry.rotation_rad == layout.index("rotation_rad")
    assert (geometry.centre_x, geometry.centre_z) == tuple(layout.centre)
    assert (geometry.ellipse_1, geometry.ellipse_2) == (0, 0)

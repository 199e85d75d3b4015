"""The image and its radial spectrum to zoom in and to ask for values, in a page that loads nothing.

Bokeh draws them in the browser. Of its scripts the page needs one, of 1.3 MB; Plotly's is 4.8 MB.
"""

import numpy as np
from bokeh.embed import components
from bokeh.models import ColumnDataSource, HoverTool, Image, LinearColorMapper, Range1d
from bokeh.palettes import Cividis256
from bokeh.plotting import figure
from bokeh.resources import Resources
from numpy.typing import NDArray

from util.electrons.hits import Hits
from util.fit.detection import Detection
from util.fit.map_model import MapModel
from util.fit.parameters import Layout
from util.physics.polar_map import PolarBins, fold
from util.report.maps import PULLED, expected_map, summed
from util.report.style import ANSWER, BLUE, X_LABEL, Z_LABEL

_RINGS = PolarBins(125, 24)
_ASPECT = 1.06  # of a figure whose panel is a square
_TOOLS = "pan,wheel_zoom,box_zoom,reset"
_HELP = (
    "<h2>Look closer</h2>\n<p>Point at a place to read how many electrons were found there and how many the fit "
    "expects; the tools at the right of each panel move and enlarge it. Colours go by the square root.</p>"
)


def look_closer(hits: Hits, layout: Layout, values: NDArray[np.float64]) -> str:
    """Return HTML with scripts and all: electrons found and the radial spectrum, beside what the fit expects.

    Parameters
    ----------
    hits : Hits
    layout : Layout
    values : (P,)
        Parameters of the answer.
    """
    script, parts = components((_image(hits, layout, values), _spectrum(hits, layout, values)))
    plots = "".join(f'<div class="plot">{part}</div>' for part in parts)
    bokeh = Resources(mode="inline", components=["bokeh"]).js_raw[0]
    quiet = 'Bokeh.logger.set_level("error")'
    shown = f'<section class="screen">{_HELP}<div class="plots">{plots}</div></section>'
    return f"<script>{bokeh}\n{quiet}</script>\n{shown}\n{script}"


def _image(hits: Hits, layout: Layout, values: NDArray[np.float64]) -> figure:
    found = summed(hits.distribution, PULLED)
    expected = summed(expected_map(layout, values, Detection(reach=hits.reach)), PULLED)
    shown = {"root": np.sqrt(found.clip(0)), "found": found, "expected": expected}
    source = ColumnDataSource({name: [cells.T.astype(np.float32)] for name, cells in shown.items()})
    colours = LinearColorMapper(palette=Cividis256, low=0, high=float(np.sqrt(np.percentile(found, 99.5))))
    plot = figure(
        title=f"electrons per bin of {2 / PULLED:.4f} × {2 / PULLED:.4f}",
        x_axis_label=X_LABEL,
        y_axis_label=f"{Z_LABEL}, the polarisation",
        x_range=Range1d(start=-1, end=1),
        y_range=Range1d(start=-1, end=1),
        tools=_TOOLS,
        sizing_mode="scale_width",
        aspect_ratio=_ASPECT,
    )
    plot.add_glyph(source, Image(image="root", x=-1, y=-1, dw=2, dh=2, color_mapper=colours))
    told = [("x, z", "$x{0.000}, $y{0.000}"), ("found", "@found{0.0}"), ("expected", "@expected{0.0}")]
    plot.add_tools(HoverTool(tooltips=told))
    plot.toolbar.logo = None
    return plot


def _spectrum(hits: Hits, layout: Layout, values: NDArray[np.float64]) -> figure:
    geometry = layout.geometry_of(values)
    found = fold(hits.x, hits.z, hits.weight, geometry, _RINGS).weight.sum(axis=1)
    model = MapModel(_RINGS, layout, geometry).counts(layout.to_internal(values)).sum(axis=(0, 2))
    rho = (_RINGS.rho[1:] + _RINGS.rho[:-1]) / 2
    source = ColumnDataSource({"rho": rho, "found": found, "expected": model})
    plot = figure(
        title=f"electrons per ring of width {1 / _RINGS.n_rho:g}",
        x_axis_label="distance from the centre [half the screen]",
        x_range=Range1d(start=0, end=1),
        tools=_TOOLS,
        sizing_mode="scale_width",
        aspect_ratio=_ASPECT,
    )
    plot.line("rho", "expected", source=source, color=BLUE, legend_label="expected by the fit")
    dots = plot.scatter("rho", "found", source=source, color=ANSWER, size=4, legend_label="electrons found")
    told = [("distance", "@rho{0.000}"), ("found", "@found{0}"), ("expected", "@expected{0}")]
    plot.add_tools(HoverTool(tooltips=told, renderers=[dots], mode="vline"))
    plot.legend.orientation = "horizontal"
    plot.add_layout(plot.legend[0], "above")
    plot.toolbar.logo = None
    return plot

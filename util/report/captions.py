"""What the figures of an answer show, and what to see in them."""

# Of `util.report.detector_figure.draw_detector`; the frames' own, whatever the answer.
DETECTOR = {
    "detector": "The detector as its frames show it; what was found beyond doubt is marked by !. Top: the brightness "
    "of one electron over the screen, with hits that tell it; the heights of electrons that stand alone, "
    "and the law that they follow; the counts of electrons on top of one another, over those of one. "
    "Bottom: how much of a frame's light is left in later frames; rate and brightness of the hits, and "
    "the image's centre, over the run.",
}

# Of `util.report.diagnostic_figures.draw_all`, in the order of the report.
CAPTIONS = {
    "distribution": "Electrons found, what the fit expects, and their difference in standard errors. A ring or a "
    "sector of one colour at right is something that the fit does not describe; speckles are "
    "chance, and then the mean square is the one to expect.",
    "pads": "Angular distribution of each sphere, I(c) = 1/2 + Σ β P(c), c = cos θ, also as a polar plot. "
    "Below, how far it is from the truth, or else from another method, in its standard errors: "
    "within the dark band about two thirds of the time. Neighbouring angles go together: what "
    "counts is p. Without either, the standard error itself.",
    "betas": "The anisotropy parameters with their standard errors; below, how far they are from the truth, "
    "or else from another method, in standard errors. Neighbouring degrees are correlated and may "
    "all lie on one side by chance; p is the probability of a chi-square as large, correlations "
    "included.",
    "radial_spectrum": "Electrons by their distance from the centre of the image, and the share of each sphere: each "
    "shows as an edge at its radius. Below, the differences in standard errors, which should show "
    "no run of one sign.",
    "angular_pulls": "Electrons found less expected, by angle, in standard errors: a wave would mean that the image "
    "is turned, uneven or off centre.",
    "frame": "One camera frame, and enlarged the place where most electrons lie close together. Circles: "
    "electrons found; crosses: where they truly were, where that is known.",
    "correlations": "Correlations between the errors of all parameters; those of the leading ones as numbers. Two "
    "parameters far from white cannot be told apart well: use the covariance where you combine "
    "them.",
}

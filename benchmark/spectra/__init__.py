"""Parts of benchmark/spectrum.py: known spectra and measures (read truth.py first), methods, figures, bands, images."""

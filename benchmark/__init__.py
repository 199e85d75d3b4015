"""Programs that measure: accuracy, speed and memory, beside peers in the same run.

Imported by nobody. What several of them need is in shared/, what is benchmark.spectrum's own in spectra/.
"""

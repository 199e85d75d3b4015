"""From hits to a spectrum: electrons and betas against speed and energy."""

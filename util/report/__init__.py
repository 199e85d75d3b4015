"""Figures of every aspect, and what the notebook and the HTML page show.

Start with `answer_figures.py`. May import every other room; no room imports it.
"""

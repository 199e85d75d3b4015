"""Figures of every aspect, and what the notebook and the HTML page show.

Start with `answer_figures.py`. Imports all other rooms; no room imports it.
"""

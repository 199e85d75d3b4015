"""One thin program a stage: ``python -m src.STAGE`` is what ``script/STAGE.sh`` runs."""

"""What the stages share, a room per step of the data's way.

A room imports from lower floors only, and never from `src`; import-linter checks it (pyproject.toml).

Floor 6: report. 5: answer. 4: electrons, simulation, summed. 3: finder. 2: frames, training, fit. 1: runtime, camera,
physics.
"""

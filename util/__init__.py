"""What the stages share: physics, detection, simulation, fit and formats."""

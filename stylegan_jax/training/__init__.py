"""Growth schedule, objectives, the step and the loop."""

"""Real IOzone in containers: plan, run, parse, summarise, chart."""

"""Pictures of the chart's dashboard with real data; see ``__main__``."""

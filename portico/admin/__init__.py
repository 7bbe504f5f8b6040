"""The admin API: organisations, projects, people, keys, limits, engines, prices, reports."""

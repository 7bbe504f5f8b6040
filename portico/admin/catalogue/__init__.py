"""What is served, what it costs and how organisations pay, over the admin API."""

"""What is asked without a key of the admin API: a token, a found key or an ordinary key is the right."""

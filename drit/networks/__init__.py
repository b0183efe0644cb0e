"""Networks: pure modules that know nothing of training."""

"""Methods: networks plus an objective, a package each; `registry` knows them."""

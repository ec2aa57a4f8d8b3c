"""Numbers of a trained pipeline that are no metric of its samples alone, one idea a file."""

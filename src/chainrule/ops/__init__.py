"""Operations: an op and its public function, side by side, one family a file."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.core.digits import base_of, digits_of, number_of


@given(symbols=st.integers(1, 10**6), count=st.integers(1, 8))
def test_the_base_is_the_smallest_that_spells_all(symbols, count):
    base = base_of(symbols, count)
    assert base**count >= symbols
    assert base == 2 or (base - 1) ** count < symbols


@pytest.mark.parametrize(("base", "count"), [(2, 5), (10, 2), (225, 2)])
def test_digits_and_numbers_are_inverse_and_the_first_digit_weighs_most(base, count):
    numbers = torch.arange(0, base**count, max(1, base**count // 97)).reshape(-1, 1)
    digits = digits_of(numbers, base, count)
    assert digits.shape == (*numbers.shape, count)
    assert ((digits >= 0) & (digits < base)).all()
    assert torch.equal(number_of(digits, base), numbers)
    assert number_of(torch.eye(count, dtype=torch.long)[0], base) == base ** (count - 1)

"""What decides the mode."""

import pytest

from readonly_router import ReadOnlyError, read_only
from tests.example.shop.models import Tag


def test_shop(shop, checksum):
    a = checksum()
    with read_only():
        assert Tag.objects.count()
        with pytest.raises(ReadOnlyError) as e:
            Tag.objects.create(name="x")
        print(e.value)
    assert a == checksum()

"""Forms of the shop."""

from collections.abc import Iterator
from typing import Any

from django import forms

from .models import Product, Tag

PREFIX = "quantity_"


class OrderForm(forms.Form):
    """An address and one number for each product in stock (`quantity_<SKU>`)."""

    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "email"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.products = list(Product.objects.filter(stock__gt=0))
        for product in self.products:
            self.fields[PREFIX + product.sku] = forms.IntegerField(
                label=f"Pieces of {product.name}",
                min_value=0,
                max_value=product.stock,
                required=False,
                initial=0,
            )

    def rows(self) -> Iterator[tuple[Product, forms.BoundField]]:
        for product in self.products:
            yield product, self[PREFIX + product.sku]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and not self.quantities():
            raise forms.ValidationError("Choose at least one product.")
        return cleaned

    def quantities(self) -> dict[str, int]:
        """Return the pieces wanted, by SKU."""
        wanted = {product.sku: self.cleaned_data.get(PREFIX + product.sku) for product in self.products}
        return {sku: pieces for sku, pieces in wanted.items() if pieces}


class TagForm(forms.ModelForm):
    class Meta:
        model = Tag
        fields = ["name"]

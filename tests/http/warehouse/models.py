"""Shelves, what lies on them, and what is written on that: three levels, for inlines in inlines."""

from django.db import models


class Shelf(models.Model):
    name = models.CharField(max_length=40)
    place = models.CharField(max_length=40, blank=True)

    def __str__(self) -> str:
        return self.name


class Box(models.Model):
    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE, related_name="boxes")
    name = models.CharField(max_length=40)

    def __str__(self) -> str:
        return self.name


class Label(models.Model):
    box = models.ForeignKey(Box, on_delete=models.CASCADE, related_name="labels")
    text = models.CharField(max_length=40)

    def __str__(self) -> str:
        return self.text

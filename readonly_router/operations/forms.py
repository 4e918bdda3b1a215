"""What an operator says when the switch is thrown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import conf
from ..durations import seconds, written

# Many web servers end a request after 30 s, and the drain with it, before it could undo the switch; gunicorn's
# --timeout does: https://docs.gunicorn.org/en/stable/settings.html#timeout
LONGEST_SECONDS = 20.0


class WrittenDuration(forms.CharField):
    """A duration as people write it; in seconds once it is cleaned, None where nothing was written."""

    def __init__(self, *, longest: float | None = None, **options: Any) -> None:
        super().__init__(max_length=20, **options)
        self.longest = longest

    def clean(self, value: Any) -> float | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            found = seconds(text)
        except ValueError as error:
            raise forms.ValidationError(_("Write a duration such as 90s, 5m or 1h30m.")) from error
        if self.longest is not None and found > self.longest:
            raise forms.ValidationError(
                _("At most %(longest)s here; for longer use manage.py read_only on --deadline."),
                params={"longest": written(self.longest)},
            )
        return found


class Databases(forms.Form):
    """Which pairs are meant: asked for where there are several."""

    verb = ""

    databases = forms.MultipleChoiceField(
        label=gettext_lazy("Databases"), widget=forms.CheckboxSelectMultiple, required=True
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=500, required=False, widget=forms.TextInput({"size": 60})
    )

    def __init__(self, *args: Any, chosen: Iterable[str] = (), **options: Any) -> None:
        # Both forms may stand on one page.
        super().__init__(*args, **{"auto_id": f"id_{self.verb}_%s", **options})
        self.aliases = tuple(conf.twins())
        if len(self.aliases) > 1:
            field: Any = self.fields["databases"]
            field.choices = [(alias, alias) for alias in self.aliases]
            field.initial = tuple(chosen)
        else:
            del self.fields["databases"]

    def chosen(self) -> tuple[str, ...]:
        """Return the aliases of the writers that are meant."""
        return tuple(self.cleaned_data.get("databases") or self.aliases)

    def options(self) -> dict[str, Any]:
        """Return what was said, as the library's functions take it."""
        return {"databases": self.chosen(), "reason": self.cleaned_data["reason"]}


class Off(Databases):
    """What is said when the site is opened again."""

    verb = "off"


class Amend(Databases):
    """What is said from now on of a window that is open; what is left empty stays as it was told."""

    verb = "amend"

    eta = WrittenDuration(
        label=gettext_lazy("Expected to last"),
        required=False,
        help_text=gettext_lazy("Such as 30m or 1h30m, from now; visitors are told when to come back."),
    )

    def expected_end(self) -> datetime | None:
        """Return when the window is expected to end, from now."""
        lasts = self.cleaned_data["eta"]
        return None if lasts is None else timezone.now() + timedelta(seconds=lasts)

    def options(self) -> dict[str, Any]:
        return {**super().options(), "eta": self.expected_end()}


class On(Amend):
    """What is said when the site is made read-only."""

    verb = "on"

    grace = WrittenDuration(
        label=gettext_lazy("Grace"),
        help_text=gettext_lazy("How long sessions that are at work may go on before they are ended once idle."),
    )
    deadline = WrittenDuration(
        label=gettext_lazy("Give up after"),
        longest=LONGEST_SECONDS,
        help_text=gettext_lazy("Transactions are waited for, never ended. If one lasts longer, all is undone."),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["reason"].help_text = _("Shown to visitors, and kept in the history.")
        deadline = min(seconds(conf.deadline()), LONGEST_SECONDS)
        self.fields["deadline"].initial = _text(deadline)
        self.fields["grace"].initial = _text(min(seconds(conf.grace()), deadline / len(self.aliases) / 2))

    def clean(self) -> dict[str, Any]:
        """Refuse a grace that leaves no time to end a session in."""
        cleaned = super().clean() or self.cleaned_data
        grace = cleaned.get("grace")
        if grace is not None and cleaned.get("deadline") and grace >= self.deadline_of_each():
            self.add_error("grace", _("The grace must be over before it gives up; make it shorter."))
        return cleaned

    def deadline_of_each(self) -> float:
        """Return the deadline of each database: they are drained one after another, within one request."""
        return float(self.cleaned_data["deadline"]) / len(self.chosen())

    def options(self) -> dict[str, Any]:
        return {**super().options(), "grace": self.cleaned_data["grace"], "deadline": self.deadline_of_each()}


def _text(duration: float) -> str:
    return written(duration) if duration >= 1 else f"{duration:g}s"

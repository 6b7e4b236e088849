from __future__ import annotations

from django import forms

from .chatting import choices


class QuestionForm(forms.Form):
    """A question, and who is to answer it."""

    question = forms.CharField(
        max_length=2000,
        error_messages={"required": "Type a question first."},
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "Ask something, then ask it again"}),
    )
    provider = forms.ChoiceField(choices=choices, label="Provider and model")
    refresh = forms.BooleanField(required=False, label="Ask anew, past the cache")

    def asked(self) -> tuple[str, list[dict[str, str]], bool]:
        """Return the provider, the messages, and whether to pass over the cache, of a valid form."""
        data = self.cleaned_data
        return data["provider"], [{"role": "user", "content": data["question"]}], data["refresh"]

"""What people type when they bring a list."""

from django import forms

from imports.models import ImportBatch
from imports.rows import default_place
from tags.models import Tag


class PlaceForm(forms.Form):
    """Where the rows lie that do not say so; on the upload, and again on the review."""

    place = forms.CharField(
        label="Place of rows without one",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"placeholder": "City, ST"}),
        help_text="Where rows name neither ZIP nor city, they are taken to lie here.",
    )

    def clean_place(self) -> str:
        place: str = self.cleaned_data["place"].strip()
        if place:
            try:
                default_place(place)
            except ValueError as error:
                raise forms.ValidationError(str(error)) from error
        return place


class UploadForm(PlaceForm):
    """The file, and what holds for all of its rows. Whether the file can be read is for the reader to say."""

    file = forms.FileField(
        label="File",
        allow_empty_file=True,
        max_length=None,
        error_messages={"required": "Choose a file first."},
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.tsv,.txt,.json"}),
        help_text="CSV, tab-separated or JSON, as the county or vendor sent it. A workbook: save it as CSV first.",
    )
    source = forms.CharField(
        label="Source",
        required=False,
        max_length=100,
        help_text="Who the list comes from, such as “Hudson County tax sale”. Blank takes the file's name.",
    )
    tags = forms.ModelMultipleChoiceField(
        label="Tags for every row",
        required=False,
        queryset=Tag.objects.active(),
        help_text="The reason this list exists, such as Foreclosure. A tags column in the file adds to these.",
        error_messages={
            "invalid_choice": "There is no tag with the id %(value)s.",
            "invalid_pk_value": "“%(pk)s” is not the id of a tag.",
        },
    )
    on_duplicate = forms.ChoiceField(
        label="When a property is known already",
        choices=ImportBatch.OnDuplicate.choices,
        initial=ImportBatch.OnDuplicate.FILL,
        help_text="Tags are added under each rule, and a blank cell never clears anything.",
    )
    unknown_tags = forms.ChoiceField(
        label="Tag names not known yet",
        choices=ImportBatch.UnknownTags.choices,
        initial=ImportBatch.UnknownTags.CREATE,
        help_text="New tags give 0 points until a manager weighs them.",
    )

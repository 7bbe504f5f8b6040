"""What texts are judged by."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Moderation(Struct, frozen=True, forbid_unknown_fields=True):
    """`/v1/moderations`: the rules that come with Portico, and a guard model where there is one."""

    inputs_max: Annotated[
        int, Meta(ge=1, le=2_048, description="Texts, or parts, per request.")
    ] = 100
    characters_max: Annotated[
        int, Meta(ge=1_000, le=10_000_000, description="Of all texts of a request together.")
    ] = 200_000
    key_requests: Annotated[int, Meta(ge=1, description="Moderations one key may have open.")] = 16
    requests: Annotated[
        int, Meta(ge=1, description="Moderations at once; more of them wait as requests do.")
    ] = 64
    guard_url: Annotated[
        str,
        Meta(
            description="OpenAI-compatible server of a guard model, such as http://host:8000/v1; "
            "empty: the rules judge alone."
        ),
    ] = ""
    guard_speaks: Annotated[
        Literal["moderations", "llama_guard"],
        Meta(
            description="How it is asked: at its own /v1/moderations, or as a chat that answers "
            "`safe`, or `unsafe` and its categories, as Llama Guard does."
        ),
    ] = "moderations"
    guard_model: Annotated[
        str, Meta(description="The guard's own name for its model; moderations may go without.")
    ] = ""
    guard_api_key: Annotated[
        str, Meta(description="Key sent to the guard; better in the environment.")
    ] = ""
    guard_categories: Annotated[
        tuple[str, ...],
        Meta(
            description="What the words of a `llama_guard` mean, such as S1=violence+illicit; empty: "
            "those of Llama Guard 3."
        ),
    ] = ()
    guard_images: Annotated[
        bool, Meta(description="It looks at images, too (`moderations` only).")
    ] = False
    guard_s: Annotated[
        float, Meta(gt=0, le=120, description="For all that one request asks of the guard.")
    ] = 10.0
    guard_at_once: Annotated[int, Meta(ge=1, description="Calls to it under way.")] = 16
    guard_on_error: Annotated[
        Literal["closed", "open"],
        Meta(
            description="When it gives no judgement: closed refuses the request, open lets the rules "
            "answer alone and says so in a header."
        ),
    ] = "closed"
    guard_data_use: Annotated[
        Literal["own", "no_training", "may_train"],
        Meta(
            description="What whoever runs it does with texts: own (it is yours), no_training, "
            "may_train.  Projects say how much they allow; those with zero retention only `own`."
        ),
    ] = "no_training"

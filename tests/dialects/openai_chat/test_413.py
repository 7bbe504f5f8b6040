"""Files that are too large."""

from portico.dialects.media import MEDIA_BYTES_MAX

from .bodies import PNG, data_url, encoded, image, parsed, refused, user


def test_one_file_over_twenty_megabytes() -> None:
    content = PNG + bytes(MEDIA_BYTES_MAX)
    refusal = refused(encoded(messages=user(image(data_url(content)))))
    assert (refusal.status, refusal.code) == (413, "media_too_large")
    assert refusal.field == "messages[0].content[0].image_url.url"
    assert refusal.limit == MEDIA_BYTES_MAX
    assert str(MEDIA_BYTES_MAX) in refusal.message


def test_one_file_of_exactly_twenty_megabytes() -> None:
    content = PNG + bytes(MEDIA_BYTES_MAX - len(PNG))
    assert parsed(messages=user(image(data_url(content)))).needs == {"image"}

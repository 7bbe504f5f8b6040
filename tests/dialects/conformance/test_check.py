"""The check of answers against jsonschema-rs, over schemas of strict mode."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from portico.dialects.conformance.check import check

NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, 0.5, -2.5]),
    st.sampled_from(["", "a", "bc"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "object", "array", "null"])
COUNTS = st.integers(0, 3)
BOUNDS = st.sampled_from([-2, 0, 1, 2, 0.5])


def one_word(inner):
    maps = st.dictionaries(NAMES, inner, max_size=3)
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries(
            {"type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True)}
        ),
        st.fixed_dictionaries({"enum": st.lists(VALUES, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"const": VALUES}),
        st.fixed_dictionaries({"properties": maps, "additionalProperties": st.booleans() | inner}),
        st.fixed_dictionaries({"required": st.lists(NAMES, unique=True, max_size=2)}),
        st.fixed_dictionaries({"items": inner | st.booleans()}),
        st.fixed_dictionaries({"prefixItems": several, "items": inner | st.booleans()}),
        st.fixed_dictionaries({"anyOf": several}),
        st.fixed_dictionaries({"allOf": several}),
        st.fixed_dictionaries({"minItems": COUNTS, "maxItems": COUNTS}),
        st.fixed_dictionaries({"minLength": COUNTS, "maxLength": COUNTS}),
        st.fixed_dictionaries({"minimum": BOUNDS, "maximum": BOUNDS}),
        st.fixed_dictionaries({"exclusiveMinimum": BOUNDS, "exclusiveMaximum": BOUNDS}),
        st.fixed_dictionaries({"multipleOf": st.sampled_from([1, 2, 0.5])}),
        st.just({"$ref": "#/$defs/d"}),
    )


def several_words(inner):
    return st.lists(one_word(inner), min_size=1, max_size=3).map(
        lambda words: {name: said for word in words for name, said in word.items()}
    )


SCHEMAS = st.recursive(st.just({}), several_words, max_leaves=8)
PASSED_OVER = st.sampled_from(
    [
        {"not": {"type": "null"}},
        {"pattern": "^a$"},
        {"uniqueItems": True},
        {"oneOf": [{"type": "integer"}, {"minimum": 0}]},
        {"patternProperties": {"^a": {"type": "null"}}, "additionalProperties": False},
        {"if": {"type": "string"}, "then": {"const": "a"}},
        {"contains": {"type": "string"}},
    ]
)


def follows(schema, value):
    return Draft202012Validator(schema).is_valid(value)


@settings(max_examples=500, deadline=None)
@given(SCHEMAS, several_words(st.just({"type": "string"})), VALUES)
def test_it_finds_what_a_whole_validator_finds(schema, aside, value):
    aside.pop("$ref", None)
    whole = {**schema, "$defs": {"d": aside}}
    assert (check(whole, value) is None) == follows(whole, value)


@settings(deadline=None)
@given(PASSED_OVER, SCHEMAS, VALUES)
def test_it_never_finds_fault_with_what_follows(over, schema, value):
    whole = {**schema, **over, "$defs": {"d": {"type": "array"}}}
    if follows(whole, value):
        assert check(whole, value) is None


TREE = {
    "$ref": "#/$defs/tree",
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {"under": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
            "required": ["under"],
            "additionalProperties": False,
        }
    },
}


@pytest.mark.parametrize(
    ("schema", "value", "path", "rule"),
    [
        (TREE, {"under": [{"under": []}, {"under": [{}]}]}, "$.under[1].under[0]", "has 'under'"),
        (TREE, {"under": [], "more": 1}, "$.more", "absent"),
        ({"type": ["string", "null"]}, 3, "$", "of type string or null"),
        ({"enum": [1, "a"]}, True, "$", "one of the 2 values"),
        ({"const": 1}, True, "$", "'const'"),
        ({"items": {"multipleOf": 0.1}}, [0.3, 0.35], "$[1]", "a multiple of 0.1"),
        ({"anyOf": [{"type": "null"}, {"minimum": 3}]}, 2, "$", "one of the 2 forms of 'anyOf'"),
    ],
)
def test_it_says_where_and_what(schema, value, path, rule):
    found = check(schema, value)
    assert found is not None
    assert found.path == path
    assert rule in found.rule


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {
            "$ref": "#/$defs/0",
            "$defs": {
                str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}, {"$ref": f"#/$defs/{n + 1}"}]}
                for n in range(40)
            }
            | {"40": {"const": 1}},
        },
    ],
)
def test_what_has_no_end_is_told_as_wrong(schema):
    found = check(schema, 2)
    assert found is not None
    assert "too deep or too branched" in found.rule


def test_a_value_as_deep_as_json_may_be_is_told_as_wrong():
    value = json.loads("[" * 900 + "]" * 900)
    assert check({"items": {"$ref": "#"}}, value) is not None


@pytest.mark.parametrize("reference", ["#/$defs/none", "https://a.example/s", "#anchor"])
def test_what_it_refers_to_and_is_not_there_asks_for_nothing(reference):
    assert check({"$ref": reference}, 1) is None

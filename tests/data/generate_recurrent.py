"""The layer cases of the recurrent layers."""

from keras import layers

from generate_cases import case, family

SERIES = (6, 5)


def with_state(units=7, **options):
    """An LSTM that begins with states from outside: inputs x, h, c."""
    layer = layers.LSTM(units, **options)
    return lambda inputs: layer(inputs[0], initial_state=list(inputs[1:]))


def lstm():
    add = family("lstm", layers.LSTM)
    add("", SERIES, 7)
    add("sequences", SERIES, 7, return_sequences=True)
    add("state", SERIES, 7, return_state=True)
    add("sequences_state", SERIES, 7, return_sequences=True, return_state=True)
    add("backwards", SERIES, 7, go_backwards=True)
    add("backwards_sequences", SERIES, 7, go_backwards=True, return_sequences=True,
        return_state=True)
    add("no_bias", SERIES, 7, use_bias=False)
    add("one_step", (1, 5), 7, return_sequences=True)
    add("one_unit", (4, 1), 1, return_sequences=True, return_state=True)
    add("long", (50, 3), 13, return_sequences=True)
    add("wide", (5, 9), 67, return_sequences=True, return_state=True)
    add("unrolled", SERIES, 7, unroll=True)
    add("dropout", SERIES, 7, dropout=0.25, recurrent_dropout=0.5)
    add("any_length", (None, 5), 7, return_sequences=True, sizes=[(9, 5)])
    for name, options in (("initial_state", {}),
                          ("initial_state_backwards", {"go_backwards": True,
                                                       "return_sequences": True,
                                                       "return_state": True})):
        case(f"lstm_{name}", [SERIES, (7,), (7,)], lambda options=options: with_state(**options))


def lstm_activations():
    """Others than the op lstm has: by a loop over the steps."""
    add = family("lstm", layers.LSTM)
    add("relu", SERIES, 7, activation="relu", recurrent_activation="sigmoid",
        return_sequences=True)
    add("hard_sigmoid", SERIES, 7, recurrent_activation="hard_sigmoid", return_state=True)
    add("linear", SERIES, 7, activation=None, recurrent_activation="tanh", go_backwards=True,
        return_sequences=True)


def register():
    lstm()
    lstm_activations()

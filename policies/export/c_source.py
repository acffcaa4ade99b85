"""Writes a policy as C source: one header and one `.c`, C99, no heap, self-test included.

The source holds the weights, the step, and the golden run; `haltere_policy_self_test` repeats that run on
the target and returns the largest error.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from haltere.policies.card import GOLDEN_TOLERANCE
from haltere.policies.contract import (
    ACTION_SIZE,
    CONTRACT,
    HIDDEN_SIZE,
    INTEGRAL_FREE_M,
    INTEGRAL_KEEP,
    INTEGRAL_NEAR_M,
    INTEGRAL_SLOPE_1_M,
    NATIVE_RATE_HZ,
    OBSERVATION_SIZE,
    UNITS,
    FloatArray,
)
from haltere.policies.export.weights import weights_from_onnx
from haltere.policies.native import build
from haltere.policies.policy_file import PolicyFile

NAME = "haltere_policy"
TARGET_FLAGS = (
    "-O3",
    "-march=native",
    "-fassociative-math",
    "-freciprocal-math",
    "-fno-signed-zeros",
    "-fno-trapping-math",
    "-fno-math-errno",
)
"""Flags for this machine's own use; the 1e-5 of the self-test holds with them.

Not `-ffast-math`: a shared library linked with it makes the whole process flush small numbers to zero, and
code compiled with it may not see a NaN.
"""

_HEADER = """\
/* {name}, contract {contract}. Made by `haltere export`; do not edit.
 *
 * observation: position error (3, m, world), rotation body to world (9, row-major), velocity error
 *   (3, m/s, world), angular velocity (3, rad/s, body), previous action (4).
 * action: normalised motor setpoints, front-right, back-right, back-left, front-left.
 * hidden state: the learned units, then the integral of the position error on each axis.
 * Native rate {rate} Hz: keep next_hidden_state once a native period.
 */
#ifndef HALTERE_POLICY_H
#define HALTERE_POLICY_H

#define HALTERE_POLICY_OBSERVATION_SIZE {observation}
#define HALTERE_POLICY_HIDDEN_SIZE {hidden}
#define HALTERE_POLICY_ACTION_SIZE {action}
#define HALTERE_POLICY_RATE_HZ {rate}
#define HALTERE_POLICY_TOLERANCE {tolerance}f

extern const float haltere_policy_initial_hidden_state[HALTERE_POLICY_HIDDEN_SIZE];

/* Advances by one native control period. next_hidden_state may be hidden_state. */
void haltere_policy_step(const float *observation, const float *hidden_state, float *action,
                         float *next_hidden_state);

/* One policy's buffers in one place, for callers that pay by the argument. */
typedef struct haltere_policy {{
    float observation[HALTERE_POLICY_OBSERVATION_SIZE];
    float action[HALTERE_POLICY_ACTION_SIZE];
    float hidden_state[HALTERE_POLICY_HIDDEN_SIZE];
    float next_hidden_state[HALTERE_POLICY_HIDDEN_SIZE];
}} haltere_policy;

/* Steps from `observation` to `action`; keeps the next hidden state if `advance` is not 0. */
void haltere_policy_run(haltere_policy *policy, int advance);

/* Repeats each step of the golden run; returns the largest error. Refuse to fly above HALTERE_POLICY_TOLERANCE. */
float haltere_policy_self_test(void);

#endif
"""

_STEP = """\
/* tanh by a rational approximation (continued fraction, error below 2e-7): no libm, and the compiler can
 * compute several at once. */
static inline float haltere_policy_tanh(float x)
{
    const float limit = 7.9f;
    const float v = x > limit ? limit : (x < -limit ? -limit : x);
    const float s = v * v;
    float p = -2.76076847742355e-16f;
    p = p * s + 2.00018790482477e-13f;
    p = p * s - 8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    float q = 1.19825839466702e-06f;
    q = q * s + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return v * p / q;
}

/* Turns a vector from the world's axes into the body's. */
static inline void haltere_policy_to_body(float *vector, const float *attitude)
{
    const float x = vector[0], y = vector[1], z = vector[2];
    int i;
    for (i = 0; i < 3; i++) vector[i] = attitude[i] * x + attitude[3 + i] * y + attitude[6 + i] * z;
}

void haltere_policy_step(const float *observation, const float *hidden_state, float *action,
                         float *next_hidden_state)
{
    float x[UNITS], from_input[3 * UNITS], from_hidden[3 * UNITS], seen[OBSERVATION], error[INTEGRAL];
    float excess = 0.0f, moved;
    int i, k;
    for (k = 0; k < OBSERVATION; k++) {
        const float limit = observation_limit[k], value = observation[k];
        seen[k] = value > limit ? limit : (value < -limit ? -limit : value);
    }
    for (k = 0; k < INTEGRAL; k++) {
        const float beyond = (seen[k] < 0.0f ? -seen[k] : seen[k]) - INTEGRAL_FREE;
        excess += beyond > 0.0f ? beyond : 0.0f;
        error[k] = seen[k];
        seen[k] += integral_reach[0] * hidden_state[UNITS + k];
    }
    if (body_axes[0] > 0.0f) {
        haltere_policy_to_body(seen, seen + 3);
        haltere_policy_to_body(seen + 12, seen + 3);
    }
    for (i = 0; i < UNITS; i++) x[i] = input_bias[i];
    for (k = 0; k < OBSERVATION; k++)
        for (i = 0; i < UNITS; i++) x[i] += input_weight[k][i] * seen[k];
    for (i = 0; i < UNITS; i++) x[i] = x[i] > 0.0f ? x[i] : 0.0f;
    for (i = 0; i < 3 * UNITS; i++) {
        from_input[i] = gru_input_bias[i];
        from_hidden[i] = gru_hidden_bias[i];
    }
    for (k = 0; k < UNITS; k++)
        for (i = 0; i < 3 * UNITS; i++) {
            from_input[i] += gru_input_weight[k][i] * x[k];
            from_hidden[i] += gru_hidden_weight[k][i] * hidden_state[k];
        }
    for (i = 0; i < 2 * UNITS; i++) /* the logistic function, as a tanh of half the sum */
        from_input[i] = 0.5f + 0.5f * haltere_policy_tanh(0.5f * (from_input[i] + from_hidden[i]));
    for (i = 0; i < UNITS; i++) {
        const float keep = from_input[UNITS + i];
        const float candidate =
            haltere_policy_tanh(from_input[2 * UNITS + i] + from_input[i] * from_hidden[2 * UNITS + i]);
        next_hidden_state[i] = keep * hidden_state[i] + (1.0f - keep) * candidate;
    }
    { /* the logistic function of the negative, by its exponential: 1 less a tanh near 1 would have few digits */
        const float t = haltere_policy_tanh((INTEGRAL_KEEP + INTEGRAL_SLOPE * excess) / 16.0f);
        float e = (1.0f - t) / (1.0f + t);
        for (i = 0; i < 3; i++) e *= e;
        moved = e / (1.0f + e);
    }
    if (integral_reach[0] <= 0.0f) moved = 0.0f;
    for (i = 0; i < INTEGRAL; i++) {
        const float now = hidden_state[UNITS + i];
        next_hidden_state[UNITS + i] = now + moved * (haltere_policy_tanh(error[i] * INTEGRAL_NEARNESS) - now);
    }
    for (i = 0; i < ACTION; i++) {
        float sum = output_bias[i];
        for (k = 0; k < UNITS; k++) sum += output_weight[i][k] * next_hidden_state[k];
        action[i] = sum;
    }
}

void haltere_policy_run(haltere_policy *policy, int advance)
{
    int i;
    haltere_policy_step(policy->observation, policy->hidden_state, policy->action, policy->next_hidden_state);
    if (advance)
        for (i = 0; i < HIDDEN; i++) policy->hidden_state[i] = policy->next_hidden_state[i];
}

float haltere_policy_self_test(void)
{
    float hidden[HIDDEN], action[ACTION], worst = 0.0f;
    int t, i;
    for (t = 0; t < GOLDEN_STEPS; t++) { /* each step from the hidden state that was recorded */
        haltere_policy_step(golden_observation[t], golden_hidden_state[t], action, hidden);
        for (i = 0; i < ACTION + HIDDEN; i++) {
            const float error = i < ACTION ? action[i] - golden_action[t][i]
                                           : hidden[i - ACTION] - golden_hidden_state[t + 1][i - ACTION];
            const float size = error < 0.0f ? -error : error;
            worst = size <= worst ? worst : size; /* a NaN is kept */
        }
    }
    return worst;
}
"""

_BENCH = """\

#ifdef HALTERE_POLICY_MAIN
#include <stdio.h>
#include <time.h>
/* The self-test as a program; also times a step, as the best of some rounds. */
int main(void)
{
    const float error = haltere_policy_self_test();
    float hidden[HIDDEN] = {0}, action[ACTION];
    double best = 1e9;
    int round, i;
    for (round = 0; round < 20; round++) {
        const clock_t begun = clock();
        double taken;
        for (i = 0; i < 20000; i++)
            haltere_policy_step(golden_observation[i % GOLDEN_STEPS], hidden, action, hidden);
        taken = (double)(clock() - begun) / CLOCKS_PER_SEC / 20000 * 1e9;
        best = taken < best ? taken : best;
    }
    printf("largest error %.3g, allowed %.3g; %.0f ns a step (%.3g)\\n", (double)error,
           (double)HALTERE_POLICY_TOLERANCE, best, (double)action[0]);
    return error <= HALTERE_POLICY_TOLERANCE ? 0 : 1;
}
#endif
"""


def _array(name: str, values: FloatArray, public: bool = False) -> str:
    shape = "".join(f"[{size}]" for size in values.shape)
    rows = values.reshape(-1, values.shape[-1])
    lines = [", ".join(_literal(v) for v in row) for row in rows]
    body = ",\n    ".join(f"{{{line}}}" if values.ndim == 2 else line for line in lines)
    return f"{'' if public else 'static '}const float {name}{shape} = {{\n    {body}\n}};\n"


def _literal(value: np.float32) -> str:
    text = np.format_float_scientific(value, unique=True, trim="0")
    return f"{text}f"


def write_c(file: PolicyFile, folder: Path) -> tuple[Path, Path]:
    """Writes `haltere_policy.h` and `haltere_policy.c`.

    Args:
      file: a policy file that was read.
      folder: made if it is not there.
    Returns:
      Paths of the header and of the source.
    """
    weights = weights_from_onnx(file.content)
    folder.mkdir(parents=True, exist_ok=True)
    header, source = folder / f"{NAME}.h", folder / f"{NAME}.c"
    header.write_text(
        _HEADER.format(
            name=file.card.name,
            contract=CONTRACT,
            rate=round(NATIVE_RATE_HZ),
            observation=OBSERVATION_SIZE,
            hidden=HIDDEN_SIZE,
            action=ACTION_SIZE,
            tolerance=GOLDEN_TOLERANCE,
        )
    )
    # Weights that multiply a vector element by element are stored transposed, so that the inner loop runs
    # over neighbours in memory and the compiler can use vector instructions.
    parts = [
        f"/* {file.card.name}, contract {CONTRACT}. Made by `haltere export`; do not edit. */\n",
        f'#include "{NAME}.h"\n\n',
        "#define OBSERVATION HALTERE_POLICY_OBSERVATION_SIZE\n#define HIDDEN HALTERE_POLICY_HIDDEN_SIZE\n"
        f"#define ACTION HALTERE_POLICY_ACTION_SIZE\n#define GOLDEN_STEPS {len(file.golden.action)}\n"
        f"#define UNITS {UNITS} /* learned; the others are the integral of the position error, in [-1, 1] */\n"
        "#define INTEGRAL (HIDDEN - UNITS)\n",
        *(
            f"#define {name} {_literal(np.float32(value))}{unit}\n"
            for name, value, unit in (
                ("INTEGRAL_FREE", INTEGRAL_FREE_M, " /* m */"),
                ("INTEGRAL_KEEP", INTEGRAL_KEEP, ""),
                ("INTEGRAL_SLOPE", INTEGRAL_SLOPE_1_M, " /* 1/m */"),
                ("INTEGRAL_NEARNESS", 1 / INTEGRAL_NEAR_M, " /* 1/m */"),
            )
        ),
        "\n",
        _array("haltere_policy_initial_hidden_state", file.golden.hidden_state[0], public=True),
        _array("observation_limit", weights["observation_limit"]),
        _array("integral_reach", weights["integral_reach"].reshape(1)),
        _array("body_axes", weights["body_axes"].reshape(1)),
        _array("input_weight", weights["input_weight"].T),
        _array("input_bias", weights["input_bias"]),
        _array("gru_input_weight", weights["gru_input_weight"].T),
        _array("gru_input_bias", weights["gru_input_bias"]),
        _array("gru_hidden_weight", weights["gru_hidden_weight"].T),
        _array("gru_hidden_bias", weights["gru_hidden_bias"]),
        _array("output_weight", weights["output_weight"]),
        _array("output_bias", weights["output_bias"]),
        _array("golden_observation", file.golden.observation),
        _array("golden_hidden_state", file.golden.hidden_state),
        _array("golden_action", file.golden.action),
        "\n",
        _STEP,
        _BENCH,
    ]
    source.write_text("".join(parts))
    return header, source


def build_self_test(file: PolicyFile) -> Path:
    """Compiles the policy's C source into a program that tests and times itself (cached by content).

    Raises:
      BuildError: there is no compiler, or it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        _, source = write_c(file, Path(folder))
        return build(f"{NAME}_self_test", [source], (*TARGET_FLAGS, "-DHALTERE_POLICY_MAIN"))


def build_library(file: PolicyFile) -> Path:
    """Compiles the policy's C source into a shared library for this machine (cached by content).

    Raises:
      BuildError: there is no compiler, or it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        _, source = write_c(file, Path(folder))
        return build(NAME, [source], TARGET_FLAGS, shared=True)

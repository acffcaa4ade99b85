#include "attitude_hold.h"

/* Signs of each rotor's part in the torque about +x, +y and +z: thrust on the left rolls to +x, thrust at the
 * back pitches to +y, and the rotors' reaction turns to -, +, -, +. */
static const float roll_sign[4] = {-1.0f, -1.0f, 1.0f, 1.0f};
static const float pitch_sign[4] = {-1.0f, 1.0f, 1.0f, -1.0f};
static const float yaw_sign[4] = {-1.0f, 1.0f, -1.0f, 1.0f};

/* Upside down the throttle falls to this part of the way from idle to hover. At this part, a quarter of the
 * weight or little more is borne: a vehicle in the air would fall. */
#define LITTLE_THROTTLE 0.5f
/* Gain of the trim, in 1/s, by errors of the vertical velocity up to a limit, in m/s. */
#define TRIM_RATE 2.0f
#define TRIM_LIMIT_M_S 1.0f
/* It leans against its horizontal velocity: by so much (the tangent of the angle) per rad/s of the attitude
 * loop and m/s, a quarter as fast as that loop, up to a limit. */
#define LEAN_PER_M_S (0.25f / 9.81f)
#define LEAN_LIMIT 0.2f
/* Slower than this up or down, in m/s, for so long, with little throttle: it stands. */
#define STILL_M_S 0.25f
#define STILL_US 500000u
/* After a longer pause between two states the fallback begins anew. */
#define PAUSE_US 100000u
/* Yaw gives way: it may never take what roll and pitch need. */
#define YAW_LIMIT 0.2f

static float clamp(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

static float magnitude(float value)
{
    return value < 0.0f ? -value : value;
}

/* The part of the wanted direction along a horizontal axis, against the velocity along it. */
static float lean(const haltere_attitude_hold_gains *gains, float velocity_m_s)
{
    return clamp(-LEAN_PER_M_S * gains->attitude_gain * velocity_m_s, -LEAN_LIMIT, LEAN_LIMIT);
}

/* Time since the state before, in us; begins anew after a pause, with the throttle that hovers. */
static uint32_t advance(haltere_attitude_hold *hold, uint32_t valid_us, float climb_error_m_s)
{
    uint32_t elapsed_us = valid_us - hold->valid_us;
    if (!hold->begun || elapsed_us > PAUSE_US) {
        hold->begun = true;
        hold->landed = false;
        hold->trim = -hold->gains.climb_gain * climb_error_m_s;
        hold->still_us = 0;
        elapsed_us = 0;
    }
    hold->valid_us = valid_us;
    return elapsed_us;
}

/* Whether the vehicle stands: in the air it would sink ever faster. */
static bool stands(haltere_attitude_hold *hold, bool little_throttle, float climb_m_s, uint32_t elapsed_us)
{
    if (little_throttle && magnitude(climb_m_s) < STILL_M_S) {
        hold->still_us += elapsed_us;
    } else {
        hold->still_us = 0;
    }
    hold->landed = hold->landed || hold->still_us >= STILL_US;
    return hold->landed;
}

void haltere_attitude_hold_step(haltere_attitude_hold *hold, const haltere_state *state, float motor[4])
{
    const haltere_attitude_hold_gains *gains = &hold->gains;
    const float *q = state->quat_wxyz;
    const float *rate = state->angular_velocity_body_rad_s;
    float climb_m_s = state->velocity_world_m_s[2];
    float climb_error_m_s = HALTERE_ATTITUDE_HOLD_CLIMB_M_S - climb_m_s;
    float trim_error_m_s = clamp(climb_error_m_s, -TRIM_LIMIT_M_S, TRIM_LIMIT_M_S);
    uint32_t elapsed_us = advance(hold, state->valid_us, trim_error_m_s);

    /* World z in the body frame: the third row of the rotation from body to world. The other rows are world x
     * and y, by which the wanted direction leans. */
    float up_x = 2.0f * (q[1] * q[3] - q[0] * q[2]);
    float up_y = 2.0f * (q[2] * q[3] + q[0] * q[1]);
    float up_z = 1.0f - 2.0f * (q[1] * q[1] + q[2] * q[2]);

    float lean_x = lean(gains, state->velocity_world_m_s[0]);
    float lean_y = lean(gains, state->velocity_world_m_s[1]);
    float to_x = up_x + lean_x * (1.0f - 2.0f * (q[2] * q[2] + q[3] * q[3])) +
                 lean_y * 2.0f * (q[1] * q[2] + q[0] * q[3]);
    float to_y = up_y + lean_x * 2.0f * (q[1] * q[2] - q[0] * q[3]) +
                 lean_y * (1.0f - 2.0f * (q[1] * q[1] + q[3] * q[3]));

    /* Body z turns into the wanted direction about their cross product, which vanishes upside down: there any
     * axis will do. */
    float tilt_x = -to_y;
    float tilt_y = to_x;
    if (up_z < 0.0f) {
        float size = magnitude(tilt_x) + magnitude(tilt_y);
        tilt_x = size > 1e-3f ? tilt_x / size : 1.0f;
        tilt_y = size > 1e-3f ? tilt_y / size : 0.0f;
    }

    float roll = gains->rate_gain_roll * (gains->attitude_gain * tilt_x - rate[0]);
    float pitch = gains->rate_gain_pitch * (gains->attitude_gain * tilt_y - rate[1]);
    float yaw = clamp(-gains->rate_gain_yaw * rate[2], -YAW_LIMIT, YAW_LIMIT);
    float little = -1.0f + LITTLE_THROTTLE * (gains->hover_throttle + 1.0f);
    float wanted = little;
    if (up_z >= 0.0f) {
        wanted = gains->hover_throttle + hold->trim + gains->climb_gain * climb_error_m_s;
    }

    /* Room for the torques goes before height: the throttle moves away from the limits. */
    float torque = clamp(magnitude(roll) + magnitude(pitch) + magnitude(yaw), 0.0f, 1.0f);
    float throttle = clamp(wanted, -1.0f + torque, 1.0f - torque);
    if (up_z >= 0.0f && throttle == wanted) {
        hold->trim += TRIM_RATE * gains->climb_gain * trim_error_m_s * 1e-6f * (float)elapsed_us;
    }
    bool landed = stands(hold, wanted <= little, climb_m_s, elapsed_us);
    for (int i = 0; i < 4; i++) {
        float setpoint = throttle + roll_sign[i] * roll + pitch_sign[i] * pitch + yaw_sign[i] * yaw;
        motor[i] = landed ? -1.0f : clamp(setpoint, -1.0f, 1.0f);
    }
}

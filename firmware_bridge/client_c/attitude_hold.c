#include "attitude_hold.h"

/* Signs of each rotor's part in the torque about +x, +y and +z: thrust on the left rolls to +x, thrust at the
 * back pitches to +y, and the rotors' reaction turns to -, +, -, +. */
static const float roll_sign[4] = {-1.0f, -1.0f, 1.0f, 1.0f};
static const float pitch_sign[4] = {-1.0f, 1.0f, 1.0f, -1.0f};
static const float yaw_sign[4] = {-1.0f, 1.0f, -1.0f, 1.0f};

/* Upside down the throttle falls to this part of the way from idle to hover. */
#define INVERTED_THROTTLE 0.5f
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

void haltere_attitude_hold(const haltere_attitude_hold_gains *gains, const haltere_state *state,
                           float motor[4])
{
    const float *q = state->quat_wxyz;
    const float *rate = state->angular_velocity_body_rad_s;

    /* World z in the body frame: the third row of the rotation from body to world. */
    float up_x = 2.0f * (q[1] * q[3] - q[0] * q[2]);
    float up_y = 2.0f * (q[2] * q[3] + q[0] * q[1]);
    float up_z = 1.0f - 2.0f * (q[1] * q[1] + q[2] * q[2]);

    /* Body z turns into world z about their cross product, which vanishes upside down: there any axis will
     * do. */
    float tilt_x = -up_y;
    float tilt_y = up_x;
    if (up_z < 0.0f) {
        float size = magnitude(tilt_x) + magnitude(tilt_y);
        tilt_x = size > 1e-3f ? tilt_x / size : 1.0f;
        tilt_y = size > 1e-3f ? tilt_y / size : 0.0f;
    }

    float roll = gains->rate_gain_roll * (gains->attitude_gain * tilt_x - rate[0]);
    float pitch = gains->rate_gain_pitch * (gains->attitude_gain * tilt_y - rate[1]);
    float yaw = clamp(-gains->rate_gain_yaw * rate[2], -YAW_LIMIT, YAW_LIMIT);
    float climb_error_m_s = HALTERE_ATTITUDE_HOLD_CLIMB_M_S - state->velocity_world_m_s[2];
    float throttle = gains->hover_throttle + gains->climb_gain * climb_error_m_s;
    if (up_z < 0.0f) {
        throttle = -1.0f + INVERTED_THROTTLE * (gains->hover_throttle + 1.0f);
    }

    /* Room for the torques goes before height: the throttle moves away from the limits. */
    float torque = clamp(magnitude(roll) + magnitude(pitch) + magnitude(yaw), 0.0f, 1.0f);
    throttle = clamp(throttle, -1.0f + torque, 1.0f - torque);
    for (int i = 0; i < 4; i++) {
        float wanted = throttle + roll_sign[i] * roll + pitch_sign[i] * pitch + yaw_sign[i] * yaw;
        motor[i] = clamp(wanted, -1.0f, 1.0f);
    }
}

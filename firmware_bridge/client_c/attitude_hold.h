/*
 * Attitude hold: what flies when no fresh action is there.
 *
 * Levels the vehicle, damps its rotation and descends slowly; needs attitude, angular velocity and vertical
 * velocity only. World z up, body FLU, motor order front-right, back-right, back-left, front-left.
 */
#ifndef HALTERE_ATTITUDE_HOLD_H
#define HALTERE_ATTITUDE_HOLD_H

#include "haltere_messages.h"

/** Vertical velocity that the fallback holds, in m/s, world frame. */
#define HALTERE_ATTITUDE_HOLD_CLIMB_M_S (-0.5f)

typedef struct haltere_attitude_hold_gains {
    float hover_throttle;  /**< motor setpoint in [-1, 1] that hovers */
    float rate_gain_roll;  /**< motor setpoint per rad/s */
    float rate_gain_pitch; /**< motor setpoint per rad/s */
    float rate_gain_yaw;   /**< motor setpoint per rad/s */
    float attitude_gain;   /**< rad/s per rad of tilt (its sine, below 90 degrees) */
    float climb_gain;      /**< motor setpoint per m/s */
} haltere_attitude_hold_gains;

/** Gives motor setpoints in [-1, 1] for a finite state. */
void haltere_attitude_hold(const haltere_attitude_hold_gains *gains, const haltere_state *state,
                           float motor[4]);

#endif

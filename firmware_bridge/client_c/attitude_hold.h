/*
 * Attitude hold: what flies when no fresh action is there.
 *
 * Levels the vehicle, damps its rotation, brakes, sinks slowly, and stops the motors once it stands; needs
 * attitude, angular velocity and velocity only. World z up, body FLU, motor order front-right, back-right,
 * back-left, front-left.
 */
#ifndef HALTERE_ATTITUDE_HOLD_H
#define HALTERE_ATTITUDE_HOLD_H

#include <stdbool.h>
#include <stdint.h>

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

/** The fallback; all but the gains begins as zero. */
typedef struct haltere_attitude_hold {
    haltere_attitude_hold_gains gains;
    float trim;        /**< motor setpoint, for what the vehicle weighs more or less */
    uint32_t valid_us; /**< of the state before */
    uint32_t still_us; /**< for so long it has neither sunk nor risen, with a throttle that cannot bear it */
    bool begun;        /**< a state has been seen */
    bool landed;       /**< it stands, motors idle: the time to disarm. Lasts as long as the fallback flies */
} haltere_attitude_hold;

/**
 * Gives motor setpoints in [-1, 1] for a finite state.
 *
 * Time is that of the states' `valid_us`. After a tenth of a second without a call it begins anew.
 */
void haltere_attitude_hold_step(haltere_attitude_hold *hold, const haltere_state *state, float motor[4]);

#endif

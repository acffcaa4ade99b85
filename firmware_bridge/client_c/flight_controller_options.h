/* The command line of the simulated flight controller. */
#ifndef HALTERE_FLIGHT_CONTROLLER_OPTIONS_H
#define HALTERE_FLIGHT_CONTROLLER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "attitude_hold.h"

typedef struct flight_controller_options {
    const char *port; /**< terminal to the runtime, or NULL */
    const char *tcp;  /**< HOST:PORT of the runtime, or NULL */
    const char *name;
    uint32_t action_timeout_us;
    uint32_t lockstep_wait_us; /**< wall clock; 0: real time */
    uint32_t setpoint_period_us;
    uint32_t session_id;
    uint16_t rate_hz;
    haltere_attitude_hold_gains gains;
} flight_controller_options;

/** Reads the command line; says on the standard error what is wrong with it. Returns whether it was good. */
bool flight_controller_options_read(flight_controller_options *options, int count, char **arguments);

#endif

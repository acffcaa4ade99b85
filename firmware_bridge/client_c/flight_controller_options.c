#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "flight_controller_options.h"
#include "haltere_client.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: haltere_flight_controller (--port PATH | --tcp HOST:PORT) [option value]...\n"
    "Reads state and setpoint frames from the standard input, writes motors frames to the standard output.\n"
    "  --action-timeout-us 25000  an action for an older state is stale\n"
    "  --lockstep-wait-us 0       wall clock to wait for each state's action; 0: real time\n"
    "  --setpoint-period-us 0     least time between forwarded setpoints; 0: each one\n"
    "  --session-id N             default: another one at each start\n"
    "  --rate-hz 100              rate of states, told to the runtime\n"
    "  --name simulated           of the vehicle, told to the runtime\n"
    "  --hover-throttle 0         fallback: motor setpoint in [-1, 1] that hovers\n"
    "  --rate-gain-roll 0.05 --rate-gain-pitch 0.05 --rate-gain-yaw 0.05   motor setpoint per rad/s\n"
    "  --attitude-gain 6          fallback: rad/s per rad\n"
    "  --climb-gain 0.2           fallback: motor setpoint per m/s\n";

static uint32_t fresh_session_id(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_nsec ^ ((uint32_t)now.tv_sec << 20) ^ (uint32_t)getpid();
}

static bool read_count(const char *text, unsigned long limit, uint32_t *value)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 0);
    *value = (uint32_t)number;
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && number <= limit;
}

static bool read_number(const char *text, float *value)
{
    char *end;
    *value = strtof(text, &end);
    return end != text && *end == '\0' && isfinite(*value);
}

/* Takes one option; returns NULL, or what its value should have been. */
static const char *take(flight_controller_options *options, const char *name, const char *value)
{
    struct {
        const char *name;
        uint32_t *count;
    } counts[] = {
        {"--action-timeout-us", &options->action_timeout_us},
        {"--lockstep-wait-us", &options->lockstep_wait_us},
        {"--setpoint-period-us", &options->setpoint_period_us},
        {"--session-id", &options->session_id},
    };
    struct {
        const char *name;
        float *number;
    } numbers[] = {
        {"--hover-throttle", &options->gains.hover_throttle},
        {"--rate-gain-roll", &options->gains.rate_gain_roll},
        {"--rate-gain-pitch", &options->gains.rate_gain_pitch},
        {"--rate-gain-yaw", &options->gains.rate_gain_yaw},
        {"--attitude-gain", &options->gains.attitude_gain},
        {"--climb-gain", &options->gains.climb_gain},
    };
    struct {
        const char *name;
        const char **text;
    } texts[] = {{"--port", &options->port}, {"--tcp", &options->tcp}, {"--name", &options->name}};

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (strcmp(name, counts[i].name) == 0) {
            return read_count(value, UINT32_MAX, counts[i].count) ? NULL : "a whole number, 0 or more";
        }
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            return read_number(value, numbers[i].number) ? NULL : "a finite number";
        }
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].text = value;
            return NULL;
        }
    }
    if (strcmp(name, "--rate-hz") == 0) {
        uint32_t rate_hz;
        bool good = read_count(value, UINT16_MAX, &rate_hz);
        options->rate_hz = (uint16_t)rate_hz;
        return good ? NULL : "a whole number up to 65535";
    }
    return "an option that exists";
}

bool flight_controller_options_read(flight_controller_options *options, int count, char **arguments)
{
    *options = (flight_controller_options){
        .name = "simulated",
        .action_timeout_us = HALTERE_DEFAULT_ACTION_TIMEOUT_US,
        .session_id = fresh_session_id(),
        .rate_hz = 100,
        .gains = {.rate_gain_roll = 0.05f,
                  .rate_gain_pitch = 0.05f,
                  .rate_gain_yaw = 0.05f,
                  .attitude_gain = 6.0f,
                  .climb_gain = 0.2f},
    };
    for (int i = 1; i < count; i += 2) {
        const char *value = i + 1 < count ? arguments[i + 1] : NULL;
        const char *expected = value != NULL ? take(options, arguments[i], value) : "followed by a value";
        if (expected != NULL) {
            fprintf(stderr, "haltere_flight_controller: %s %s: expected %s\n%s", arguments[i],
                    value != NULL ? value : "", expected, usage);
            return false;
        }
    }
    if ((options->port == NULL) == (options->tcp == NULL)) {
        fprintf(stderr, "haltere_flight_controller: give either --port or --tcp\n%s", usage);
        return false;
    }
    if (options->action_timeout_us == 0) {
        fprintf(stderr, "haltere_flight_controller: --action-timeout-us must be at least 1\n");
        return false;
    }
    return true;
}

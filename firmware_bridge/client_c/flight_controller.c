/*
 * A flight controller for simulation and bench, around the same client that a real one compiles in.
 *
 * The simulator is on the standard input (state and setpoint frames) and output (motors frames), the runtime
 * on a terminal or TCP connection. The simulator's stamps are the flight controller's clock, so that ages
 * are right in virtual time too; hellos, heartbeats and round trips go by the wall clock.
 */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attitude_hold.h"
#include "flight_controller_options.h"
#include "haltere_client.h"
#include "port.h"

#define READ_SIZE 4096
/* Longest sleep, in ms: hellos, heartbeats and the reopening of the port are due within. */
#define TURN_MS 10
/* Lockstep: after so many states in a row without an action, the wait for the next is so much shorter. */
#define SILENT_AFTER 5
#define SILENT_HASTE 10

typedef struct sent_state {
    uint64_t wall_us;
    uint32_t valid_us;
} sent_state;

typedef struct flight_controller {
    flight_controller_options options;
    haltere_client client;
    haltere_port port;
    haltere_frame_decoder simulator;
    uint8_t sequence;    /* of frames to the simulator */
    uint32_t clock_us;   /* time of validity of the newest state */
    haltere_state state; /* newest */
    haltere_state finite_state;
    haltere_attitude_hold hold;
    haltere_setpoint setpoint;
    bool setpoint_known;
    uint32_t setpoint_us; /* time of validity of the setpoint forwarded last */
    uint32_t sessions;    /* handshakes seen */
    sent_state sent[256]; /* by frame sequence */
    uint32_t round_trip_us;
    uint32_t unanswered; /* lockstep: states in a row without an action */
    bool simulator_gone;
} flight_controller;

static uint64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint32_t vehicle_clock(void *user)
{
    return ((flight_controller *)user)->clock_us;
}

static uint32_t link_clock(void *user)
{
    (void)user;
    return (uint32_t)wall_us();
}

static size_t write_to_runtime(void *user, const uint8_t *bytes, size_t size)
{
    return haltere_port_write(&((flight_controller *)user)->port, bytes, size);
}

static void write_to_simulator(flight_controller *controller, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = write(STDOUT_FILENO, bytes, size);
        if (sent < 0 && errno != EINTR) {
            controller->simulator_gone = true;
            return;
        }
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        }
    }
}

/* Gives motor setpoints to the simulator: the policy's if they may be flown, else the fallback's. */
static void write_motors(flight_controller *controller, bool echo_newest_state)
{
    haltere_action action;
    memset(&action, 0, sizeof action);
    haltere_motors motors = {.round_trip_us = controller->round_trip_us};
    enum haltere_action_result result = haltere_client_action(&controller->client, motors.motor, &action);
    motors.status = action.status;
    motors.frames_dropped = haltere_frame_dropped(&controller->client.decoder.counts);
    if (result == HALTERE_ACTION_OK) {
        motors.source = HALTERE_MOTOR_SOURCE_POLICY;
        motors.mode = action.mode;
        motors.state_valid_us = echo_newest_state ? controller->state.valid_us : action.state_valid_us;
    } else {
        motors.source = HALTERE_MOTOR_SOURCE_FALLBACK;
        motors.mode = HALTERE_MODE_SAFE;
        motors.state_valid_us = controller->state.valid_us;
        haltere_attitude_hold_step(&controller->hold, &controller->finite_state, motors.motor);
    }
    uint8_t payload[HALTERE_SIZE_MOTORS];
    uint8_t frame[HALTERE_MAX_WIRE_SIZE];
    haltere_motors_pack(&motors, payload);
    size_t size =
        haltere_frame_encode(HALTERE_ID_MOTORS, controller->sequence++, controller->clock_us, payload, frame);
    write_to_simulator(controller, frame, size);
}

static bool forward_state(flight_controller *controller)
{
    uint8_t sequence;
    uint64_t now_us = wall_us();
    if (!haltere_client_send_state(&controller->client, &controller->state, &sequence)) {
        return false;
    }
    controller->sent[sequence] = (sent_state){.wall_us = now_us, .valid_us = controller->state.valid_us};
    return true;
}

static void forward_setpoint(flight_controller *controller)
{
    if (haltere_client_send_setpoint(&controller->client, &controller->setpoint)) {
        controller->setpoint_us = controller->setpoint.valid_us;
    }
}

static void measure_round_trip(flight_controller *controller)
{
    const haltere_action *action = &controller->client.action;
    const sent_state *sent = &controller->sent[action->state_sequence];
    bool known = sent->wall_us != 0 && sent->valid_us == action->state_valid_us;
    controller->round_trip_us = known ? (uint32_t)(wall_us() - sent->wall_us) : 0;
}

/* Reads what the runtime has sent, and keeps the line alive. Returns whether a new action was accepted. */
static bool serve_runtime(flight_controller *controller)
{
    haltere_client *client = &controller->client;
    uint32_t actions = client->counters.actions_received;
    uint8_t bytes[READ_SIZE];
    int got = 0;
    if (haltere_port_maintain(&controller->port, wall_us())) {
        haltere_client_disconnect(client);
    }
    do {
        got = haltere_port_read(&controller->port, bytes, sizeof bytes, wall_us());
        if (got > 0) {
            haltere_client_feed(client, bytes, (size_t)got);
        }
    } while (got == (int)sizeof bytes);
    if (got < 0) {
        haltere_client_disconnect(client);
    } else {
        haltere_port_flush(&controller->port);
        haltere_client_poll(client);
    }
    /* A runtime that has just come knows no setpoint. */
    if (client->counters.sessions != controller->sessions) {
        controller->sessions = client->counters.sessions;
        if (controller->setpoint_known) {
            forward_setpoint(controller);
        }
    }
    if (client->counters.actions_received == actions) {
        return false;
    }
    measure_round_trip(controller);
    return true;
}

/* Sleeps until the runtime, or with `simulator` the simulator, has sent something, or `wait_us` are over.
 * Returns whether the simulator has. */
static bool sleep_until_data(const flight_controller *controller, bool simulator, uint64_t wait_us)
{
    struct pollfd files[2] = {
        {.fd = simulator ? STDIN_FILENO : -1, .events = POLLIN},
        {.fd = controller->port.descriptor, .events = POLLIN},
    };
    if (controller->port.unsent_size > 0) {
        files[1].events |= POLLOUT;
    }
    uint64_t wait_ms = (wait_us + 999u) / 1000u;
    poll(files, 2, wait_ms < TURN_MS ? (int)wait_ms : TURN_MS);
    return files[0].revents != 0;
}

static bool is_answered(const flight_controller *controller)
{
    const haltere_client *client = &controller->client;
    return client->action_held && client->action.state_valid_us == controller->state.valid_us;
}

/* Lockstep: waits for the action that answers the newest state, which also includes a handshake. */
static void wait_for_action(flight_controller *controller, bool forwarded)
{
    uint64_t wait_us = controller->options.lockstep_wait_us;
    if (controller->unanswered >= SILENT_AFTER) {
        wait_us /= SILENT_HASTE;
    }
    uint64_t deadline_us = wall_us() + wait_us;
    for (;;) {
        serve_runtime(controller);
        if (!forwarded) {
            forwarded = forward_state(controller);
        }
        uint64_t now_us = wall_us();
        if ((forwarded && is_answered(controller)) || now_us >= deadline_us) {
            return;
        }
        sleep_until_data(controller, false, deadline_us - now_us);
    }
}

static void receive_state(flight_controller *controller, const uint8_t *payload)
{
    haltere_state_unpack(&controller->state, payload);
    controller->clock_us = controller->state.valid_us;
    if (haltere_state_is_finite(&controller->state)) {
        controller->finite_state = controller->state;
    }
    haltere_client_set_life_cycle(&controller->client, HALTERE_LIFE_CYCLE_ACTIVE);
    bool forwarded = forward_state(controller);
    if (controller->options.lockstep_wait_us > 0) {
        controller->round_trip_us = 0;
        wait_for_action(controller, forwarded);
        if (is_answered(controller)) {
            controller->unanswered = 0;
        } else {
            controller->unanswered++;
            controller->round_trip_us = 0;
        }
        write_motors(controller, true);
        return;
    }
    float motor[4];
    if (haltere_client_action(&controller->client, motor, NULL) != HALTERE_ACTION_OK) {
        controller->round_trip_us = 0;
        write_motors(controller, false);
    }
}

static void receive_setpoint(flight_controller *controller, const uint8_t *payload)
{
    bool first = !controller->setpoint_known;
    haltere_setpoint_unpack(&controller->setpoint, payload);
    controller->setpoint_known = true;
    uint32_t since_us = controller->setpoint.valid_us - controller->setpoint_us;
    if (first || since_us >= controller->options.setpoint_period_us) {
        forward_setpoint(controller);
    }
}

static void receive_from_simulator(void *user, const haltere_frame *frame)
{
    if (frame->id == HALTERE_ID_STATE) {
        receive_state(user, frame->payload);
    } else if (frame->id == HALTERE_ID_SETPOINT) {
        receive_setpoint(user, frame->payload);
    }
}

static void serve_simulator(flight_controller *controller)
{
    uint8_t bytes[READ_SIZE];
    ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    if (got > 0) {
        haltere_frame_feed(&controller->simulator, bytes, (size_t)got, receive_from_simulator, controller);
    } else if (got == 0 || errno != EINTR) {
        controller->simulator_gone = true;
    }
}

static bool start(flight_controller *controller, int count, char **arguments)
{
    flight_controller_options *options = &controller->options;
    if (!flight_controller_options_read(options, count, arguments)) {
        return false;
    }
    if (options->port != NULL) {
        haltere_port_init_path(&controller->port, options->port);
    } else if (!haltere_port_init_tcp(&controller->port, options->tcp)) {
        fprintf(stderr, "haltere_flight_controller: --tcp %s: expected an address such as 127.0.0.1:5760\n",
                options->tcp);
        return false;
    }
    haltere_client_options client_options = {
        .session_id = options->session_id,
        .action_timeout_us = options->action_timeout_us,
        .native_rate_hz = options->rate_hz,
        .name = options->name,
        .link_clock = link_clock,
    };
    haltere_client_init(&controller->client, write_to_runtime, vehicle_clock, controller, &client_options);
    haltere_frame_decoder_init(&controller->simulator);
    controller->finite_state.quat_wxyz[0] = 1.0f;
    controller->hold.gains = options->gains;
    signal(SIGPIPE, SIG_IGN);
    return true;
}

int main(int count, char **arguments)
{
    static flight_controller controller;
    if (!start(&controller, count, arguments)) {
        return 2;
    }
    while (!controller.simulator_gone) {
        if (serve_runtime(&controller) && controller.options.lockstep_wait_us == 0) {
            float motor[4];
            if (haltere_client_action(&controller.client, motor, NULL) == HALTERE_ACTION_OK) {
                write_motors(&controller, false);
            }
        }
        if (sleep_until_data(&controller, true, TURN_MS * 1000u)) {
            serve_simulator(&controller);
        }
    }
    return 0;
}

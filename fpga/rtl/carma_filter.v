// Steady-state Kalman filter of up to three axes, worked by one multiplier. One `start` is one 2 ms tick: the state
// is predicted (or reloaded from the fuser), then every sample that was queued at the tick is calibrated, compared
// with the state at the time it was measured, and blended in with constant gains. How surprising it was is judged
// by the fused state: a filter that has followed a lying sensor finds its lies no longer surprising.
`default_nettype none

module carma_filter #(
    parameter       CHANNELS = 3,      // raw words in a sample, 1..8
    parameter       AXES     = 3,      // axes of the state, 1..3
    parameter [2:0] VELOCITY = 3'b000, // axes whose measurement is a velocity, not a position
    parameter       RATES    = 0,      // 1: channels 0 and 1 are angular rates, to be multiplied by the range in the last
    parameter       PREDICT  = 1       // 0: the state is constant between samples
) (
    input  wire                   clk,
    input  wire                   reset,
    input  wire                   start,
    input  wire                   reload,
    input  wire [            3:0] pending,
    output wire                   busy,

    input  wire [CHANNELS*16-1:0] sample,
    output wire                   pop,
    output wire                   drain,

    output reg  [            5:0] config_address,
    input  wire [           31:0] config_data,   // one cycle later

    input  wire [    AXES*32-1:0] seed_position,
    input  wire [    AXES*32-1:0] seed_velocity,
    input  wire [    AXES*32-1:0] velocity_step, // change of velocity in one tick
    input  wire [    AXES*32-1:0] displacement,  // motion since the samples were measured

    output reg  [    AXES*32-1:0] state_position,
    output reg  [    AXES*32-1:0] state_velocity,
    output reg  [    AXES*32-1:0] innovation,
    output reg                    valid,
    output reg  [           15:0] age,
    output reg  [           23:0] nis,
    output reg  [           31:0] nis_sum,
    output reg  [           23:0] samples,
    output reg  [           23:0] rejected,
    output reg  [           15:0] repeats
);

    `include "fixed.vh"

    localparam signed [24:0] TICK_S = 25'sd33554;      // 1/500 s, Q24
    localparam [15:0] INVALID = 16'h8000;              // the code that no converter sends for a measurement

    localparam [4:0] IDLE = 0, DISCARD = 1, PREDICT_MULTIPLY = 2, PREDICT_ADD = 3, FETCH = 4, CHECK = 5,
        RATE_MULTIPLY = 6, RATE_STORE = 7, CALIBRATE_MULTIPLY = 8, CALIBRATE_ADD = 9, OFFSET = 10, COMPARE = 11,
        JUDGE = 12, SQUARE = 13, SCALE = 14, ACCUMULATE = 15, CORRECT_POSITION = 16, CORRECT_VELOCITY = 17, RELOAD = 18;

    reg  [                   4:0] state;
    reg  [                   1:0] axis;
    reg  [                   2:0] channel;
    reg  [                   3:0] remaining;
    reg signed [            51:0] sum;
    reg signed [            31:0] measured;
    reg signed [            32:0] relative; // what was measured, with the motion since then
    reg signed [            31:0] residual;
    reg signed [            31:0] surprise;
    reg  [                  25:0] sample_nis;
    reg  [       CHANNELS*16-1:0] previous;
    reg  [       CHANNELS*24-1:0] channels;

    wire signed [31:0] position = state_position[axis*32+:32];
    wire signed [31:0] velocity = state_velocity[axis*32+:32];
    wire signed [31:0] step = velocity_step[axis*32+:32];
    wire signed [31:0] moved = displacement[axis*32+:32];
    wire signed [31:0] expected = VELOCITY[axis] ? velocity : position;
    wire signed [31:0] fused_position = seed_position[axis*32+:32];
    wire signed [31:0] fused_velocity = seed_velocity[axis*32+:32];
    wire signed [31:0] fused = VELOCITY[axis] ? fused_velocity : fused_position;

    // One multiplier, its result a cycle later.
    reg signed [31:0] factor_a;
    reg signed [24:0] factor_b;
    reg signed [56:0] product;
    wire signed [24:0] coefficient = config_data[24:0];
    always @(posedge clk) product <= factor_a * factor_b;

    // One rounding adder: a shift by n that rounds half upwards adds the bit below, as a carry into the sum.
    reg signed [44:0] addend;
    reg round_up;
    reg signed [31:0] base;
    always @* begin
        base = state == CORRECT_VELOCITY ? velocity : position;
        addend = {{4{product[56]}}, product[56:16]};
        round_up = product[15];
        if (state == PREDICT_ADD) begin
            addend = {{12{product[56]}}, product[56:24]};
            round_up = product[23];
        end
        if (state == OFFSET) begin
            base = config_data;
            addend = {sum[51], sum[51:8]};
            round_up = sum[7];
        end
    end
    // verilator lint_off UNUSEDSIGNAL
    wire [45:0] carried = {addend, 1'b1} + {{13{base[31]}}, base, round_up};
    // verilator lint_on UNUSEDSIGNAL
    wire signed [31:0] total = saturate({{3{carried[45]}}, carried[45:1]});

    // One adder for the velocity: half a step on the way to the mean velocity of the tick, a whole one at its end.
    wire signed [31:0] part_step = state == PREDICT_MULTIPLY ? {step[31], step[31:1]} : step;
    wire signed [31:0] advanced = saturate(widen(velocity) + widen(part_step));

    // One adder for both comparisons: with the fused state, then with the filter's own.
    wire signed [31:0] reference = state == JUDGE && PREDICT != 0 ? fused : expected;
    wire signed [31:0] difference = saturate({{15{relative[32]}}, relative} - widen(reference));

    // What is squared fits the multiplier's narrow side: +-16 m or m/s.
    wire signed [24:0] narrow = &surprise[31:24] || !(|surprise[31:24]) ? surprise[24:0] :
        {surprise[31], {24{!surprise[31]}}};

    wire [23:0] axis_nis = product[56] ? 24'd0 : |product[55:46] ? 24'hffffff : product[45:22];
    wire [23:0] clamped_nis = |sample_nis[25:24] ? 24'hffffff : sample_nis[23:0];
    // verilator lint_off UNUSEDSIGNAL
    wire [24:0] nis_error = {1'b0, clamped_nis} - {1'b0, nis}; // moves the mean by a sixteenth
    // verilator lint_on UNUSEDSIGNAL

    wire last_axis = {30'd0, axis} == AXES - 1;
    wire last_channel = {29'd0, channel} == CHANNELS - 1;

    reg any_invalid;
    integer k, j, m;
    always @* begin
        any_invalid = 1'b0;
        for (k = 0; k < CHANNELS; k = k + 1) if (sample[k*16+:16] == INVALID) any_invalid = 1'b1;
    end

    always @* begin
        factor_a = residual;
        factor_b = coefficient;
        // The word that the next state needs.
        config_address = 6'd0;
        case (state)
            PREDICT_MULTIPLY: begin
                factor_a = advanced;
                factor_b = TICK_S;
            end
            RATE_MULTIPLY: begin
                factor_a = {{8{channels[axis*24+23]}}, channels[axis*24+:24]};
                factor_b = {channels[CHANNELS*24-1], channels[CHANNELS*24-1-:24]};
            end
            CALIBRATE_MULTIPLY: factor_a = {{8{channels[channel*24+23]}}, channels[channel*24+:24]};
            CALIBRATE_ADD: config_address = last_channel ? {4'b0110, axis} : {1'b0, axis, channel + 3'd1};
            SQUARE: begin
                factor_a = {{7{narrow[24]}}, narrow};
                factor_b = narrow;
                config_address = {4'b1001, axis};
            end
            SCALE: begin
                factor_a = product[51:20];
                config_address = {4'b0111, axis};
            end
            ACCUMULATE: config_address = {4'b1000, axis};
            CORRECT_VELOCITY: config_address = {1'b0, axis + 2'd1, 3'd0};
            default: ;
        endcase
    end

    assign busy  = state != IDLE;
    assign drain = state == DISCARD && remaining != 0;
    assign pop   = drain || state == CHECK;

    wire write_position = state == RELOAD || state == PREDICT_ADD || state == CORRECT_POSITION;
    wire write_velocity = state == RELOAD || state == PREDICT_ADD || state == CORRECT_VELOCITY;
    wire signed [31:0] position_next = state == RELOAD ? fused_position : total;
    wire signed [31:0] velocity_next = state == RELOAD ? fused_velocity : state == PREDICT_ADD ? advanced : total;

    always @(posedge clk) begin
        if (reset) begin
            state_position <= 0;
            state_velocity <= 0;
            innovation <= 0;
        end else begin
            for (j = 0; j < AXES; j = j + 1)
                if ({30'd0, axis} == j) begin
                    if (write_position) state_position[j*32+:32] <= position_next;
                    if (write_velocity) state_velocity[j*32+:32] <= velocity_next;
                    if (state == SCALE) innovation[j*32+:32] <= residual;
                end
        end
    end

    // The two sums are emptied by their flip-flops' reset, which costs no look-up tables.
    always @(posedge clk) begin
        if (reset || state == FETCH || state == CORRECT_VELOCITY) sum <= 0;
        else if (state == CALIBRATE_ADD) sum <= sum + product[51:0];
        if (reset || state == FETCH) sample_nis <= 0;
        else if (state == ACCUMULATE) sample_nis <= sample_nis + {2'd0, axis_nis};
    end

    always @(posedge clk) begin
        if (reset) begin
            state <= IDLE;
            axis <= 0;
            channel <= 0;
            remaining <= 0;
            measured <= 0;
            relative <= 0;
            residual <= 0;
            surprise <= 0;
            previous <= 0;
            channels <= 0;
            valid <= 0;
            age <= 16'hffff;
            nis <= 0;
            nis_sum <= 0;
            samples <= 0;
            rejected <= 0;
            repeats <= 0;
        end else begin
            case (state)
                IDLE:
                if (start) begin
                    remaining <= pending;
                    axis <= 0;
                    if (reload) begin
                        valid <= 1'b0;
                        age <= 16'hffff;
                        nis <= 0;
                        state <= RELOAD;
                    end else begin
                        if (age != 16'hffff) age <= age + 16'd1;
                        state <= PREDICT != 0 ? PREDICT_MULTIPLY : FETCH;
                    end
                end
                RELOAD: begin
                    axis <= axis + 2'd1;
                    if (last_axis) state <= DISCARD;
                end
                DISCARD: begin
                    if (remaining == 0) state <= IDLE;
                    else remaining <= remaining - 4'd1;
                end
                PREDICT_MULTIPLY: state <= PREDICT_ADD;
                PREDICT_ADD: begin
                    axis <= axis + 2'd1;
                    state <= last_axis ? FETCH : PREDICT_MULTIPLY;
                end
                FETCH: begin
                    axis <= 0;
                    channel <= 0;
                    for (m = 0; m < CHANNELS; m = m + 1)
                        channels[m*24+:24] <= {{8{sample[m*16+15]}}, sample[m*16+:16]};
                    state <= remaining == 0 ? IDLE : CHECK;
                end
                CHECK: begin
                    remaining <= remaining - 4'd1;
                    previous <= sample;
                    if (sample != previous) repeats <= 0;
                    else if (repeats != 16'hffff) repeats <= repeats + 16'd1;
                    if (any_invalid) begin
                        rejected <= rejected + 24'd1;
                        state <= FETCH;
                    end else state <= RATES != 0 ? RATE_MULTIPLY : CALIBRATE_MULTIPLY;
                end
                RATE_MULTIPLY: state <= RATE_STORE;
                RATE_STORE: begin
                    for (m = 0; m < 2; m = m + 1) if ({30'd0, axis} == m) channels[m*24+:24] <= product[33:10];
                    axis <= axis == 2'd1 ? 2'd0 : 2'd1;
                    state <= axis == 2'd1 ? CALIBRATE_MULTIPLY : RATE_MULTIPLY;
                end
                CALIBRATE_MULTIPLY: state <= CALIBRATE_ADD;
                CALIBRATE_ADD: begin
                    channel <= channel + 3'd1;
                    state <= last_channel ? OFFSET : CALIBRATE_MULTIPLY;
                end
                OFFSET: begin
                    measured <= total;
                    state <= COMPARE;
                end
                COMPARE: begin
                    relative <= {measured[31], measured} + {moved[31], moved};
                    state <= JUDGE;
                end
                JUDGE: begin
                    surprise <= difference;
                    state <= SQUARE;
                end
                SQUARE: begin
                    residual <= difference;
                    state <= SCALE;
                end
                SCALE: state <= ACCUMULATE;
                ACCUMULATE: state <= CORRECT_POSITION;
                CORRECT_POSITION: state <= CORRECT_VELOCITY;
                default: begin
                    axis <= axis + 2'd1;
                    channel <= 0;
                    if (last_axis) begin
                        valid <= 1'b1;
                        age <= 0;
                        samples <= samples + 24'd1;
                        nis <= nis + {{3{nis_error[24]}}, nis_error[24:4]};
                        nis_sum <= nis_sum + {8'd0, clamped_nis};
                        state <= FETCH;
                    end else state <= CALIBRATE_MULTIPLY;
                end
            endcase
        end
    end

endmodule

`default_nettype wire

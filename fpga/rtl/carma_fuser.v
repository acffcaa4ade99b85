// Always-on fuser. `prepare` predicts the fused state over one tick with the IMU's acceleration; `fuse` then takes
// the information-weighted mean of that prediction and of the usable paths' states, and works out, from a history
// of the fused state, how far the vehicle has moved since each path's samples were measured.
`default_nettype none

module carma_fuser (
    input  wire         clk,
    input  wire         reset,
    input  wire         prepare,
    input  wire         fuse,
    output wire         busy,

    input  wire         seed,          // at `prepare`: start from the seed instead of the present state
    input  wire [ 95:0] seed_position,
    input  wire [ 95:0] seed_velocity,

    input  wire [ 95:0] acceleration,
    input  wire [  4:0] path_valid,    // index 0 is the IMU, in every vector of paths
    input  wire [  4:0] path_awake,
    input  wire [ 79:0] path_age,
    input  wire [119:0] path_nis,
    // verilator lint_off UNUSEDSIGNAL
    // Each path's own axes are looked at.
    input  wire [479:0] path_position,
    input  wire [479:0] path_velocity,
    // verilator lint_on UNUSEDSIGNAL

    output reg  [  5:0] config_address,
    input  wire [ 31:0] config_data,

    output reg  [ 95:0] position,
    output reg  [ 95:0] velocity,
    output reg  [ 95:0] velocity_step, // change of velocity in one tick
    output reg  [479:0] displacement,  // of position or velocity, as the path measures
    output reg  [  4:0] usable,
    output reg  [  4:0] consistent     // the running mean of the NIS is within its limit
);

    `include "fixed.vh"

    localparam signed [17:0] TICK_S = 18'sd33554; // 1/500 s, Q24
    localparam [14:0] COVERS = 15'b100_111_011_111_000;   // axes z y x of paths 4..0 that are estimated
    localparam [14:0] VELOCITY = 15'b000_000_000_011_000; // axes whose measurement is a velocity

    localparam [3:0] IDLE = 0, TRUST_IMU = 1, STEP_MULTIPLY = 2, STEP_STORE = 3, PREDICT_MULTIPLY = 4,
        PREDICT_STORE = 5, TRUST = 6, PRIOR = 7, WEIGH = 8, ADD = 9, DIVIDE = 10, WAIT = 11, RECORD = 12, LOCATE = 13,
        READ = 14, MOVED = 15;

    reg  [ 3:0] state;
    reg  [ 2:0] path;
    reg  [ 1:0] axis;
    reg         rate;            // 0: positions, 1: velocities
    reg  [ 6:0] entry;           // place of this tick in the history
    reg  [ 6:0] filled;          // ticks in the history before this one
    reg signed [52:0] sum;
    reg  [18:0] information;

    wire signed [31:0] now_position = position[axis*32+:32];
    wire signed [31:0] now_velocity = velocity[axis*32+:32];
    wire signed [31:0] now = rate ? now_velocity : now_position;
    wire signed [31:0] step = velocity_step[axis*32+:32];
    wire [3:0] element = {1'b0, path} + {path, 1'b0} + {2'd0, axis}; // 3 * path + axis
    // Only what a path estimates is there to choose from; of the rest `counts` makes nothing.
    reg signed [31:0] other;
    always @* begin
        case ({path[1:0], rate, axis})
            5'b01_0_00: other = path_position[96+:32];
            5'b01_0_01: other = path_position[128+:32];
            5'b01_0_10: other = path_position[160+:32];
            5'b01_1_00: other = path_velocity[96+:32];
            5'b01_1_01: other = path_velocity[128+:32];
            5'b01_1_10: other = path_velocity[160+:32];
            5'b10_0_00: other = path_position[192+:32];
            5'b10_0_01: other = path_position[224+:32];
            5'b10_1_00: other = path_velocity[192+:32];
            5'b10_1_01: other = path_velocity[224+:32];
            5'b11_0_00: other = path_position[288+:32];
            5'b11_0_01: other = path_position[320+:32];
            5'b11_0_10: other = path_position[352+:32];
            5'b11_1_00: other = path_velocity[288+:32];
            5'b11_1_01: other = path_velocity[320+:32];
            5'b11_1_10: other = path_velocity[352+:32];
            5'b00_0_10: other = path_position[448+:32];
            5'b00_1_10: other = path_velocity[448+:32];
            default: other = path_position[96+:32];
        endcase
    end
    wire [2:0] word = {1'b0, axis} + (rate ? 3'd3 : 3'd0);
    wire measures_velocity = VELOCITY[element];
    wire signed [31:0] measured_now = measures_velocity ? now_velocity : now_position;
    wire counts = usable[path] && COVERS[element];

    // An inconsistent path keeps a 256th of its weight: little beside a consistent one, but if it is the only one
    // left, the fused state comes to it in the end instead of drifting away for good.
    wire [15:0] full_weight = config_data[15:0];
    wire [15:0] weight = consistent[path] || full_weight == 0 ? full_weight :
        full_weight[15:8] == 0 ? 16'd1 : {8'd0, full_weight[15:8]};

    // One adder for the velocity: half a step on the way to the mean velocity of the tick, a whole one at its end.
    wire signed [31:0] part_step = state == PREDICT_MULTIPLY ? {step[31], step[31:1]} : step;
    wire signed [32:0] advanced = {now_velocity[31], now_velocity} + {part_step[31], part_step};

    reg signed [32:0] factor_a;
    reg signed [17:0] factor_b;
    reg signed [50:0] product;

    wire [15:0] max_age = config_data[15:0];
    wire [15:0] nis_limit = config_data[31:16];
    wire fresh = path_valid[path] && path_awake[path] && path_age[path*16+:16] <= max_age;
    wire agrees = path_nis[path*24+:24] <= {8'd0, nis_limit};

    wire [6:0] delay = config_data > {25'd0, filled} ? filled : config_data[6:0];
    reg  [9:0] past_address;
    wire [31:0] past;

    wire divider_busy;
    wire negative;
    wire [32:0] magnitude;

    carma_divider divider (
        .clk(clk),
        .reset(reset),
        .start(state == DIVIDE),
        .numerator(sum),
        .denominator(information),
        .busy(divider_busy),
        .negative(negative),
        .magnitude(magnitude)
    );

    carma_history history (
        .clk(clk),
        .write(state == RECORD),
        .write_address({entry, word}),
        .write_data(now),
        .read_address(past_address),
        .read_data(past)
    );

    always @* begin
        factor_a = {now_position[31], now_position};
        factor_b = TICK_S;
        config_address = {path, word};
        case (state)
            TRUST_IMU, TRUST: config_address = {path, 3'd7};
            STEP_MULTIPLY: factor_a = {acceleration[axis*32+31], acceleration[axis*32+:32]};
            PREDICT_MULTIPLY: factor_a = advanced;
            WEIGH: begin
                factor_a = {other[31], other} - {now[31], now};
                factor_b = {2'b00, weight};
            end
            LOCATE: config_address = {path, 3'd6};
            default: ;
        endcase
    end

    always @(posedge clk) product <= factor_a * factor_b;

    assign busy = state != IDLE;

    // A shift by 24 that rounds half upwards, as a carry into the sum: with nothing for the step, with the position.
    wire signed [31:0] start_of_sum = state == STEP_STORE ? 32'sd0 : now_position;
    // verilator lint_off UNUSEDSIGNAL
    wire [33:0] carried = {{6{product[50]}}, product[50:24], 1'b1} + {start_of_sum[31], start_of_sum, product[23]};
    // verilator lint_on UNUSEDSIGNAL
    wire signed [31:0] position_next = saturate({{15{carried[33]}}, carried[33:1]});
    wire signed [31:0] step_next = usable[0] ? position_next : 32'sd0;
    wire signed [31:0] velocity_next = saturate({{15{advanced[32]}}, advanced});
    // The quotient's two's complement, its one as a carry.
    // verilator lint_off UNUSEDSIGNAL
    wire [35:0] blended = {{3{now[31]}}, now, 1'b1} + {{2{negative}}, magnitude ^ {33{negative}}, negative};
    // verilator lint_on UNUSEDSIGNAL
    wire signed [31:0] fused_next = saturate({{13{blended[35]}}, blended[35:1]});
    wire signed [31:0] moved_next = saturate(widen(measured_now) - widen(past));
    integer j;

    always @(posedge clk) begin
        if (reset || state == PRIOR) sum <= 0;
        else if (state == ADD && counts) sum <= sum + {{2{product[50]}}, product};
    end

    always @(posedge clk) begin
        if (reset) begin
            state <= IDLE;
            path <= 0;
            axis <= 0;
            rate <= 0;
            entry <= 0;
            filled <= 0;
            information <= 0;
            past_address <= 0;
            position <= 0;
            velocity <= 0;
            velocity_step <= 0;
            displacement <= 0;
            usable <= 0;
            consistent <= 0;
        end else begin
            case (state)
                IDLE: begin
                    axis <= 0;
                    rate <= 1'b0;
                    if (prepare) begin
                        path <= 3'd0;
                        state <= TRUST_IMU;
                        if (seed) begin
                            position <= seed_position;
                            velocity <= seed_velocity;
                            displacement <= 0;
                            filled <= 0;
                        end
                    end else if (fuse) begin
                        path <= 3'd1;
                        state <= TRUST;
                    end
                end
                TRUST_IMU: begin
                    usable[0] <= fresh;
                    consistent[0] <= agrees;
                    state <= STEP_MULTIPLY;
                end
                STEP_MULTIPLY: state <= STEP_STORE;
                STEP_STORE: begin
                    for (j = 0; j < 3; j = j + 1) if ({30'd0, axis} == j) velocity_step[j*32+:32] <= step_next;
                    state <= PREDICT_MULTIPLY;
                end
                PREDICT_MULTIPLY: state <= PREDICT_STORE;
                PREDICT_STORE: begin
                    for (j = 0; j < 3; j = j + 1)
                        if ({30'd0, axis} == j) begin
                            position[j*32+:32] <= position_next;
                            velocity[j*32+:32] <= velocity_next;
                        end
                    axis <= axis + 2'd1;
                    state <= axis == 2'd2 ? IDLE : STEP_MULTIPLY;
                end
                TRUST: begin
                    usable[path] <= fresh;
                    consistent[path] <= agrees;
                    path <= path == 3'd4 ? 3'd0 : path + 3'd1;
                    state <= path == 3'd4 ? PRIOR : TRUST;
                end
                PRIOR: begin
                    information <= {3'd0, config_data[15:0]};
                    path <= 3'd1;
                    state <= WEIGH;
                end
                WEIGH: state <= ADD;
                ADD: begin
                    if (counts) begin
                        information <= information + {3'd0, weight};
                    end
                    path <= path == 3'd4 ? 3'd0 : path + 3'd1;
                    state <= path == 3'd4 ? DIVIDE : WEIGH;
                end
                DIVIDE: state <= WAIT;
                WAIT:
                if (!divider_busy) begin
                    for (j = 0; j < 3; j = j + 1)
                        if (information != 0 && {30'd0, axis} == j) begin
                            if (rate) velocity[j*32+:32] <= fused_next;
                            else position[j*32+:32] <= fused_next;
                        end
                    axis <= axis == 2'd2 ? 2'd0 : axis + 2'd1;
                    rate <= axis == 2'd2 ? !rate : rate;
                    state <= axis == 2'd2 && rate ? RECORD : PRIOR;
                end
                RECORD: begin
                    axis <= axis == 2'd2 ? 2'd0 : axis + 2'd1;
                    rate <= axis == 2'd2 ? !rate : rate;
                    if (axis == 2'd2 && rate) begin
                        path <= 3'd1;
                        state <= LOCATE;
                    end
                end
                LOCATE: begin
                    past_address <= {entry - delay, {1'b0, axis} + (measures_velocity ? 3'd3 : 3'd0)};
                    state <= READ;
                end
                READ: state <= MOVED;
                MOVED: begin
                    for (j = 3; j < 15; j = j + 1) if ({28'd0, element} == j) displacement[j*32+:32] <= moved_next;
                    axis <= axis == 2'd2 ? 2'd0 : axis + 2'd1;
                    if (axis == 2'd2) begin
                        path <= path + 3'd1;
                        if (path == 3'd4) begin
                            entry <= entry + 7'd1;
                            if (filled != 7'd127) filled <= filled + 7'd1;
                        end
                    end
                    state <= axis == 2'd2 && path == 3'd4 ? IDLE : LOCATE;
                end
            endcase
        end
    end

endmodule

`default_nettype wire

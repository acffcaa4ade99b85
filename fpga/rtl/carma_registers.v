// The registers that belong to no path, and the choice of who answers a read.
`default_nettype none

module carma_registers (
    input  wire         clk,
    input  wire         reset,
    output wire         soft_reset,

    input  wire [ 10:0] bus_address,
    input  wire         bus_write,
    input  wire         bus_read,
    input  wire [ 31:0] bus_write_data,
    output reg  [ 31:0] bus_read_data,
    output wire         bias_write,
    output wire         fusion_write,
    output wire         weight_write,
    output wire [  4:0] path_write,
    output wire [  4:0] path_read,
    input  wire [ 31:0] weight_read_data,
    input  wire [159:0] path_read_data,

    output reg  [  4:0] gate,
    output reg  [  4:0] force_on,
    output reg  [  4:0] burst,
    output reg  [ 31:0] burst_ticks,
    output reg  [ 15:0] dwell,
    output reg  [ 15:0] watchdog,
    output wire         heartbeat,
    input  wire [  4:0] awake,
    input  wire         expired,
    input  wire         expire_now,
    input  wire [ 23:0] expiries,

    output reg  [ 31:0] tick_cycles,
    input  wire         tick,
    input  wire         tick_busy,
    input  wire [ 31:0] ticks,
    input  wire [ 23:0] overruns,
    output reg  [  4:0] reload, // asked for since the last tick
    output reg          seed,
    output reg  [ 95:0] seed_position,
    output reg  [ 95:0] seed_velocity,
    input  wire [ 95:0] position,
    input  wire [ 95:0] velocity,

    output reg  [127:0] sample,
    output wire [  4:0] inject,

    output wire         classify,
    input  wire         classifier_busy,
    input  wire         classified,
    output reg  [127:0] features,
    output reg  [ 20:0] requantise,
    output reg  [ 31:0] margin_min,
    output reg  [  7:0] hysteresis,
    output reg  [ 79:0] masks,
    input  wire [  3:0] best,
    input  wire [ 31:0] margin,
    input  wire         known,
    input  wire [  3:0] context_,
    input  wire [  4:0] suggestion
);

    // verilator lint_off UNUSEDPARAM
    `include "registers.vh"
    // verilator lint_on UNUSEDPARAM

    localparam [31:0] CAPABILITY = {16'd500, 8'd20, 8'd5};

    wire is_bias = bus_address[10:6] == 5'b00010;     // 0x200
    wire is_fusion = bus_address[10:6] == 5'b00011;   // 0x300
    wire is_weight = bus_address[10:8] == 3'b100;     // 0x1000
    wire [3:0] block = bus_address[10:7];             // 0x400 and every 0x200 from there are the paths
    wire is_path = block >= 4'd2 && block <= 4'd6;
    wire [2:0] path = block[2:0] - 3'd2;

    // What the bus writes to the engines' memories is kept a second time, to be read back. Biases are block 0, fusion
    // block 1, the paths' configurations their own. In block 7 are the plain words: sample, seeds, features. They read
    // as zero until they are written after a reset.
    wire is_memory = is_bias || is_fusion || (is_path && !bus_address[6]);
    wire is_plain = bus_address[10:2] == WORD_SAMPLE[10:2] || bus_address[10:2] == WORD_FEATURE[10:2] ||
        ((bus_address[10:2] == WORD_SEED_POSITION[10:2] || bus_address[10:2] == WORD_SEED_VELOCITY[10:2]) &&
            bus_address[1:0] != 2'd3);
    wire [2:0] memory_block = is_plain ? 3'd7 : is_path ? block[2:0] : {2'b00, is_fusion};
    wire [3:0] plain = {bus_address[3] || bus_address[5], bus_address[2:0]};
    reg [15:0] plain_written;
    wire [31:0] memory_read_data;
    always @(posedge clk) begin
        if (reset || soft_reset) plain_written <= 0;
        else if (bus_write && is_plain) plain_written[plain] <= 1'b1;
    end
    carma_memory #(
        .DEPTH_LOG2(9),
        .REGISTERED(1)
    ) written (
        .clk(clk),
        .write(bus_write && (is_memory || is_plain)),
        .write_address({memory_block, bus_address[5:0]}),
        .write_data(is_bias ? {{8{bus_write_data[23]}}, bus_write_data[23:0]} : bus_write_data),
        .read_address({memory_block, bus_address[5:0]}),
        .read_data(memory_read_data)
    );

    assign bias_write = bus_write && is_bias;
    assign fusion_write = bus_write && is_fusion;
    assign weight_write = bus_write && is_weight;
    assign path_write = bus_write && is_path ? 5'd1 << path : 5'd0;
    assign path_read = bus_read && is_path ? 5'd1 << path : 5'd0;
    assign heartbeat = bus_write && bus_address == WORD_HEARTBEAT;
    assign classify = bus_write && bus_address == WORD_CLASSIFY;
    assign inject = bus_write && bus_address == WORD_PUSH && bus_write_data < 32'd5 ? 5'd1 << bus_write_data[2:0] : 5'd0;

    // Long enough for the gates to open and every synchronous reset behind them to be seen.
    reg [3:0] resetting;
    always @(posedge clk) begin
        if (reset) resetting <= 0;
        else if (bus_write && bus_address == WORD_CONTROL && bus_write_data[0]) resetting <= 4'hf;
        else resetting <= {resetting[2:0], 1'b0};
    end
    assign soft_reset = resetting[3];

    wire [31:0] cycles_low, cycles_high;
    carma_counter cycles (
        .clk(clk),
        .reset(reset || soft_reset),
        .event_now(1'b1),
        .read_low(bus_read && bus_address == WORD_CYCLES_LO),
        .low(cycles_low),
        .high_copy(cycles_high)
    );

    reg [23:0] classifications;
    integer j;

    always @(posedge clk) begin
        if (reset || soft_reset) begin
            gate <= RESET_GATE[4:0];
            force_on <= 0;
            burst <= 0;
            burst_ticks <= 0;
            dwell <= RESET_DWELL[15:0];
            watchdog <= RESET_WATCHDOG[15:0];
            tick_cycles <= RESET_TICK_CYCLES;
            reload <= 0;
            seed <= 0;
            seed_position <= 0;
            seed_velocity <= 0;
            sample <= 0;
            features <= 0;
            requantise <= 0;
            margin_min <= 0;
            hysteresis <= RESET_HYSTERESIS[7:0];
            masks <= {16{RESET_MASK[4:0]}};
            classifications <= 0;
        end else begin
            if (classified) classifications <= classifications + 24'd1;
            if (tick) begin
                reload <= 0;
                seed <= 1'b0;
            end
            if (bus_write) begin
                case (bus_address)
                    WORD_GATE: gate <= bus_write_data[4:0];
                    WORD_FORCE: force_on <= bus_write_data[4:0];
                    WORD_TICK_CYCLES: tick_cycles <= bus_write_data;
                    WORD_BURST: burst <= bus_write_data[4:0];
                    WORD_BURST_TICKS: burst_ticks <= bus_write_data;
                    WORD_DWELL: dwell <= bus_write_data[15:0];
                    WORD_WATCHDOG: watchdog <= bus_write_data[15:0];
                    WORD_RELOAD: begin
                        reload <= bus_write_data[4:0] | (tick ? 5'd0 : reload);
                        seed <= bus_write_data[8] || (seed && !tick);
                    end
                    WORD_REQUANTISE: requantise <= bus_write_data[20:0];
                    WORD_MARGIN_MIN: margin_min <= bus_write_data;
                    WORD_HYSTERESIS: hysteresis <= bus_write_data[7:0];
                    default: ;
                endcase
                for (j = 0; j < 4; j = j + 1) begin
                    if (bus_address == WORD_SAMPLE + j[10:0]) sample[j*32+:32] <= bus_write_data;
                    if (bus_address == WORD_FEATURE + j[10:0]) features[j*32+:32] <= bus_write_data;
                end
                for (j = 0; j < 3; j = j + 1) begin
                    if (bus_address == WORD_SEED_POSITION + j[10:0]) seed_position[j*32+:32] <= bus_write_data;
                    if (bus_address == WORD_SEED_VELOCITY + j[10:0]) seed_velocity[j*32+:32] <= bus_write_data;
                end
                for (j = 0; j < 16; j = j + 1)
                    if (bus_address == WORD_MASK + j[10:0]) masks[j*5+:5] <= bus_write_data[4:0];
            end
            // The masks of software that has died are not to come back with its successor's first heartbeat.
            if (expire_now) begin
                gate <= RESET_GATE[4:0];
                burst <= 0;
            end
        end
    end

    // By index and not by case: a tree of multiplexers takes fewer look-up tables than a decoder with gates.
    reg [2047:0] words;
    always @* begin
        words = 0;
        words[WORD_ID*32+:32] = IDENTITY;
        words[WORD_VERSION*32+:32] = MAP_VERSION;
        words[WORD_CAPABILITY*32+:32] = CAPABILITY;
        words[WORD_GATE*32+:32] = {27'd0, gate};
        words[WORD_FORCE*32+:32] = {27'd0, force_on};
        words[WORD_STATUS*32+:32] = {21'd0, classifier_busy, tick_busy, expired, 3'd0, awake};
        words[WORD_SUGGESTION*32+:32] = {15'd0, known, 4'd0, context_, 3'd0, suggestion};
        words[WORD_TICK_CYCLES*32+:32] = tick_cycles;
        words[WORD_TICKS*32+:32] = ticks;
        words[WORD_OVERRUNS*32+:32] = {8'd0, overruns};
        words[WORD_BURST*32+:32] = {27'd0, burst};
        words[WORD_BURST_TICKS*32+:32] = burst_ticks;
        words[WORD_DWELL*32+:32] = {16'd0, dwell};
        words[WORD_WATCHDOG*32+:32] = {16'd0, watchdog};
        words[WORD_EXPIRIES*32+:32] = {8'd0, expiries};
        words[WORD_CYCLES_LO*32+:32] = cycles_low;
        words[WORD_CYCLES_HI*32+:32] = cycles_high;
        words[WORD_POSITION*32+:32] = position[31:0];
        words[(WORD_POSITION+11'd1)*32+:32] = position[63:32];
        words[(WORD_POSITION+11'd2)*32+:32] = position[95:64];
        words[WORD_VELOCITY*32+:32] = velocity[31:0];
        words[(WORD_VELOCITY+11'd1)*32+:32] = velocity[63:32];
        words[(WORD_VELOCITY+11'd2)*32+:32] = velocity[95:64];
        words[WORD_REQUANTISE*32+:32] = {11'd0, requantise};
        words[WORD_MARGIN_MIN*32+:32] = margin_min;
        words[WORD_HYSTERESIS*32+:32] = {24'd0, hysteresis};
        words[WORD_BEST*32+:32] = {28'd0, best};
        words[WORD_MARGIN*32+:32] = margin;
        words[WORD_CLASSIFIED*32+:32] = {8'd0, classifications};
    end
    reg [31:0] own;
    always @(posedge clk) begin
        if (bus_address[10:6] != 5'd0) own <= {27'd0, masks[bus_address[3:0]*5+:5]};
        else own <= words[bus_address[5:0]*32+:32];
    end

    always @(posedge clk) begin
        if (is_memory || (is_plain && plain_written[plain])) bus_read_data <= memory_read_data;
        else if (is_path) bus_read_data <= path_read_data[path*32+:32];
        else if (is_weight) bus_read_data <= weight_read_data;
        else if (bus_address[10:6] == 5'd0 || bus_address[10:4] == WORD_MASK[10:4]) bus_read_data <= own;
        else bus_read_data <= 32'd0;
    end

endmodule

`default_nettype wire

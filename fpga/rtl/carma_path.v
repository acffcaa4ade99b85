// One sensing path: always-on intake, counters and configuration; queue and filter on the path's gated clock.
`default_nettype none

module carma_path #(
    parameter       CHANNELS = 3,      // raw words in a sample, 1..8
    parameter       AXES     = 3,      // axes of the state, 1..3
    parameter       FIRST    = 0,      // the vehicle's axis that is this path's first: 0 x, 1 y, 2 z
    parameter [2:0] VELOCITY = 3'b000, // axes whose measurement is a velocity, not a position
    parameter       RATES    = 0,      // 1: channels 0 and 1 are angular rates, to be multiplied by the range in the last
    parameter       PREDICT  = 1,      // 0: the state is constant between samples
    parameter       GATED    = 1       // 0: the path has no clock gate
) (
    input  wire                   clk,
    input  wire                   reset,

    input  wire [CHANNELS*16-1:0] s_axis_tdata,
    input  wire                   s_axis_tvalid,
    output wire                   s_axis_tready,
    input  wire                   inject,
    input  wire [CHANNELS*16-1:0] inject_data,

    input  wire                   awake,
    input  wire                   tick,
    input  wire                   start,
    input  wire                   reload,
    output wire                   busy,

    // verilator lint_off UNUSEDSIGNAL
    // A path takes its own axes of these.
    input  wire [           95:0] seed_position,
    input  wire [           95:0] seed_velocity,
    input  wire [           95:0] velocity_step,
    input  wire [           95:0] displacement,
    // verilator lint_on UNUSEDSIGNAL
    output reg  [           95:0] state_position,
    output reg  [           95:0] state_velocity,
    output wire                   valid,
    output wire [           15:0] age,
    output wire [           23:0] nis,
    output wire                   gated_clk,

    input  wire [            6:0] bus_address,
    input  wire                   bus_write,
    input  wire                   bus_read,
    input  wire [           31:0] bus_write_data,
    output reg  [           31:0] bus_read_data,
    input  wire [           23:0] switches,
    input  wire                   usable,
    input  wire                   consistent
);

    generate
        if (GATED != 0) begin : gate
            carma_clock_gate cell_ (
                .clk(clk),
                .reset(reset),
                .enable(awake),
                .gated_clk(gated_clk)
            );
        end else begin : direct
            assign gated_clk = clk;
        end
    endgenerate

    wire [CHANNELS*16-1:0] push_data, head;
    wire [3:0] level;
    wire push, pop, drain, full;
    wire [23:0] dropped, overflows, samples, rejected;
    wire [31:0] nis_sum, active_low, active_high;
    wire [15:0] repeats;
    wire [AXES*32-1:0] position, velocity, innovation;
    wire [5:0] config_address;
    wire [31:0] config_data;

    // What is queued at the tick is this tick's work; later samples wait for the next.
    reg [3:0] pending;
    always @(posedge clk) begin
        if (reset) pending <= 0;
        else if (tick) pending <= level;
    end

    carma_intake #(
        .WIDTH(CHANNELS * 16)
    ) intake (
        .clk(clk),
        .reset(reset),
        .awake(awake),
        .full(full),
        .drain(drain),
        .s_axis_tdata(s_axis_tdata),
        .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready),
        .inject(inject),
        .inject_data(inject_data),
        .push(push),
        .push_data(push_data),
        .dropped(dropped),
        .overflows(overflows)
    );

    carma_fifo #(
        .WIDTH(CHANNELS * 16),
        .DEPTH_LOG2(3)
    ) fifo (
        .clk(gated_clk),
        .reset(reset),
        .push(push),
        .push_data(push_data),
        .pop(pop),
        .head(head),
        .level(level),
        .full(full)
    );

    carma_memory #(
        .REGISTERED(1)
    ) configuration (
        .clk(clk),
        .write(bus_write && !bus_address[6]),
        .write_address(bus_address[5:0]),
        .write_data(bus_write_data),
        .read_address(config_address),
        .read_data(config_data)
    );

    carma_filter #(
        .CHANNELS(CHANNELS),
        .AXES(AXES),
        .VELOCITY(VELOCITY),
        .RATES(RATES),
        .PREDICT(PREDICT)
    ) filter (
        .clk(gated_clk),
        .reset(reset),
        .start(start),
        .reload(reload),
        .pending(pending),
        .busy(busy),
        .sample(head),
        .pop(pop),
        .drain(drain),
        .config_address(config_address),
        .config_data(config_data),
        .seed_position(seed_position[FIRST*32+:AXES*32]),
        .seed_velocity(seed_velocity[FIRST*32+:AXES*32]),
        .velocity_step(velocity_step[FIRST*32+:AXES*32]),
        .displacement(displacement[FIRST*32+:AXES*32]),
        .state_position(position),
        .state_velocity(velocity),
        .innovation(innovation),
        .valid(valid),
        .age(age),
        .nis(nis),
        .nis_sum(nis_sum),
        .samples(samples),
        .rejected(rejected),
        .repeats(repeats)
    );

    carma_counter active (
        .clk(clk),
        .reset(reset),
        .event_now(awake),
        .read_low(bus_read && bus_address == 7'd64),
        .low(active_low),
        .high_copy(active_high)
    );

    reg [95:0] residual;
    always @* begin
        state_position = 0;
        state_velocity = 0;
        residual = 0;
        state_position[FIRST*32+:AXES*32] = position;
        state_velocity[FIRST*32+:AXES*32] = velocity;
        residual[FIRST*32+:AXES*32] = innovation;
    end

    // By index and not by case: a tree of multiplexers takes fewer look-up tables than a decoder with gates.
    wire [1023:0] words = {
        256'd0,
        32'd0,
        state_velocity[95:64],
        state_velocity[63:32],
        state_velocity[31:0],
        32'd0,
        state_position[95:64],
        state_position[63:32],
        state_position[31:0],
        32'd0,
        residual[95:64],
        residual[63:32],
        residual[31:0],
        32'd0,
        {16'd0, repeats},
        nis_sum,
        {8'd0, nis},
        {valid, awake, usable, consistent, 8'd0, level, age},
        {8'd0, switches},
        {8'd0, rejected},
        {8'd0, overflows},
        {8'd0, dropped},
        {8'd0, samples},
        active_high,
        active_low
    };
    always @(posedge clk) bus_read_data <= bus_address[5] ? 32'd0 : words[bus_address[4:0]*32+:32];

endmodule

`default_nettype wire

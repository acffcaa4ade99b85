// The tick's timer and the order of work inside a tick: IMU, prediction, the other paths side by side, fusion.
`default_nettype none

module carma_sequencer (
    input  wire        clk,
    input  wire        reset,
    input  wire [31:0] tick_cycles,
    output wire        tick,          // one cycle; a new tick begins
    output reg  [31:0] ticks,
    output reg  [23:0] overruns,      // ticks that were due while the last one was still being worked
    output wire        busy,

    output wire        start_imu,
    input  wire        imu_busy,
    output wire        prepare,
    output wire        fuse,
    input  wire        fuser_busy,
    output wire        start_paths,
    input  wire        paths_busy
);

    localparam [3:0] IDLE = 0, IMU = 1, IMU_WAIT = 2, PREPARE = 3, PREPARE_WAIT = 4, PATHS = 5, PATHS_WAIT = 6,
        FUSE = 7, FUSE_WAIT = 8;

    reg [3:0] state;
    reg [31:0] cycle;

    wire due = cycle + 32'd1 >= tick_cycles;

    assign tick = due && state == IDLE && !reset;
    assign busy = state != IDLE;
    assign start_imu = state == IMU;
    assign prepare = state == PREPARE;
    assign start_paths = state == PATHS;
    assign fuse = state == FUSE;

    always @(posedge clk) begin
        if (reset) begin
            state <= IDLE;
            cycle <= 0;
            ticks <= 0;
            overruns <= 0;
        end else begin
            cycle <= due ? 32'd0 : cycle + 32'd1;
            if (tick) ticks <= ticks + 32'd1;
            if (due && !tick) overruns <= overruns + 24'd1;
            case (state)
                IDLE: if (tick) state <= IMU;
                IMU: state <= IMU_WAIT;
                IMU_WAIT: if (!imu_busy) state <= PREPARE;
                PREPARE: state <= PREPARE_WAIT;
                PREPARE_WAIT: if (!fuser_busy) state <= PATHS;
                PATHS: state <= PATHS_WAIT;
                PATHS_WAIT: if (!paths_busy) state <= FUSE;
                FUSE: state <= FUSE_WAIT;
                default: if (!fuser_busy) state <= IDLE;
            endcase
        end
    end

endmodule

`default_nettype wire

// Decides at each tick which paths' clocks run: what software asked for, no sooner than the minimum dwell, or in bursts
// of its own rhythm; what safety forces on, at once; and everything, when the heartbeat has stopped.
`default_nettype none

module carma_governor (
    input  wire         clk,
    input  wire         reset,
    input  wire         tick,
    input  wire [  4:0] gate,       // 1: software wants this path's clock
    input  wire [  4:0] force_on,
    input  wire [  4:0] burst,      // 1: a path that software wants runs in bursts only, and does not dwell
    input  wire [ 15:0] burst_on,   // ticks of each burst
    input  wire [ 15:0] burst_period,
    input  wire [ 15:0] dwell,      // ticks
    input  wire [ 15:0] watchdog,   // ticks without a heartbeat until everything is on; 0: always on
    input  wire         heartbeat,

    output reg  [  4:0] awake,
    output reg  [  4:0] woken,      // those that this tick switched on
    output reg          expired,
    output reg          expire_now, // one cycle
    output reg  [ 23:0] expiries,
    output reg  [119:0] switches    // 24 bits a path
);

    localparam [4:0] ALWAYS = 5'b00001; // the IMU

    reg beat;
    reg [15:0] silence;
    reg [79:0] since;
    reg [15:0] phase;

    wire [15:0] silence_next = beat ? 16'd0 : silence == 16'hffff ? silence : silence + 16'd1;
    wire expired_next = silence_next >= watchdog || (expired && !beat);
    wire [16:0] phase_next = phase + 17'd1;
    wire [4:0] forced = ALWAYS | force_on | {5{expired_next}};

    reg [4:0] awake_next;
    integer i, p;
    always @* begin
        awake_next = awake;
        for (p = 0; p < 5; p = p + 1) begin
            if (forced[p]) awake_next[p] = 1'b1;
            else if (burst[p]) awake_next[p] = gate[p] && phase < burst_on;
            else if (since[p*16+:16] >= dwell) awake_next[p] = gate[p];
        end
    end

    always @(posedge clk) begin
        expire_now <= 1'b0;
        if (reset) begin
            // Boots with every path on, and so it stays until software shows that it lives.
            awake <= 5'b11111;
            woken <= 5'b00000;
            expired <= 1'b1;
            expiries <= 0;
            switches <= 0;
            beat <= 1'b0;
            silence <= 16'hffff;
            since <= 0;
            phase <= 0;
        end else begin
            if (heartbeat) beat <= 1'b1;
            if (tick) begin
                beat <= heartbeat;
                silence <= silence_next;
                phase <= phase_next >= {1'b0, burst_period} ? 16'd0 : phase_next[15:0];
                expired <= expired_next;
                expire_now <= expired_next && !expired;
                if (expired_next && !expired) expiries <= expiries + 24'd1;
                awake <= awake_next;
                woken <= awake_next & ~awake;
                for (i = 0; i < 5; i = i + 1) begin
                    if (awake_next[i] != awake[i]) begin
                        since[i*16+:16] <= 16'd0;
                        switches[i*24+:24] <= switches[i*24+:24] + 24'd1;
                    end else if (since[i*16+:16] != 16'hffff) since[i*16+:16] <= since[i*16+:16] + 16'd1;
                end
            end
        end
    end

endmodule

`default_nettype wire

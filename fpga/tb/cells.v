// Cells of 7-series that yosys leaves as black boxes, as far as this design uses them: both ports 36 bits wide, read
// first, no output register.
`default_nettype none

module BUFGCE (
    input  wire I,
    input  wire CE,
    output wire O
);

    reg open_latch;

    // verilator lint_off LATCH
    // verilator lint_off COMBDLY
    always @* if (!I) open_latch <= CE;
    // verilator lint_on COMBDLY
    // verilator lint_on LATCH

    assign O = I & open_latch;

endmodule

// Simple dual port: read on A, written on B.
module RAMB18E1 (
    input  wire        CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
    input  wire        RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input  wire [13:0] ADDRARDADDR, ADDRBWRADDR,
    input  wire [15:0] DIADI, DIBDI,
    input  wire [ 1:0] DIPADIP, DIPBDIP,
    input  wire [ 1:0] WEA,
    input  wire [ 3:0] WEBWE,
    output wire [15:0] DOADO, DOBDO,
    output wire [ 1:0] DOPADOP, DOPBDOP
);

    reg [35:0] words[0:511];
    reg [35:0] word;
    integer index;

    initial for (index = 0; index < 512; index = index + 1) words[index] = 0;

    always @(posedge CLKARDCLK) word <= words[ADDRARDADDR[13:5]];
    always @(posedge CLKBWRCLK) if (WEBWE[0]) words[ADDRBWRADDR[13:5]] <= {DIPBDIP, DIPADIP, DIBDI, DIADI};

    assign {DOPBDOP, DOPADOP, DOBDO, DOADO} = word;

endmodule

// Written and read on A, read on B.
module RAMB36E1 (
    input  wire        CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
    input  wire        RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input  wire [15:0] ADDRARDADDR, ADDRBWRADDR,
    input  wire [31:0] DIADI, DIBDI,
    input  wire [ 3:0] DIPADIP, DIPBDIP,
    input  wire [ 3:0] WEA,
    input  wire [ 7:0] WEBWE,
    output wire [31:0] DOADO, DOBDO,
    output wire [ 3:0] DOPADOP, DOPBDOP
);

    reg [35:0] words[0:1023];
    reg [35:0] a, b;
    integer index;

    initial for (index = 0; index < 1024; index = index + 1) words[index] = 0;

    always @(posedge CLKARDCLK) begin
        a <= words[ADDRARDADDR[14:5]];
        if (WEA[0]) words[ADDRARDADDR[14:5]] <= {DIPADIP, DIADI};
    end
    always @(posedge CLKBWRCLK) b <= words[ADDRBWRADDR[14:5]];

    assign {DOPADOP, DOADO} = a;
    assign {DOPBDOP, DOBDO} = b;

endmodule

`default_nettype wire

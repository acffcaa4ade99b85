// AXI4-Lite slave in front of a register bus that always answers: a write takes one cycle, a read three.
`default_nettype none

module carma_axil (
    input  wire        clk,
    input  wire        reset,

    input  wire [12:0] s_axil_awaddr,
    input  wire [ 2:0] s_axil_awprot,
    input  wire        s_axil_awvalid,
    output wire        s_axil_awready,
    input  wire [31:0] s_axil_wdata,
    input  wire [ 3:0] s_axil_wstrb,
    input  wire        s_axil_wvalid,
    output wire        s_axil_wready,
    output wire [ 1:0] s_axil_bresp,
    output reg         s_axil_bvalid,
    input  wire        s_axil_bready,
    input  wire [12:0] s_axil_araddr,
    input  wire [ 2:0] s_axil_arprot,
    input  wire        s_axil_arvalid,
    output wire        s_axil_arready,
    output reg  [31:0] s_axil_rdata,
    output wire [ 1:0] s_axil_rresp,
    output reg         s_axil_rvalid,
    input  wire        s_axil_rready,

    output wire [10:0] bus_address,  // of a word
    output wire        bus_write,
    output wire [31:0] bus_write_data,
    output wire        bus_read,
    input  wire [31:0] bus_read_data // two cycles after `bus_read`
);

    localparam [1:0] OKAY = 2'b00, SLVERR = 2'b10;

    reg address_held;
    reg data_held;
    reg [10:0] write_address;
    reg [31:0] write_data;
    reg [3:0] write_strobe;
    reg write_refused;
    reg [10:0] read_address;
    reg [2:0] reading;

    // Registers have effects as words; a part of one is refused, not half done.
    wire whole = &write_strobe;
    wire commit = address_held && data_held && !s_axil_bvalid && reading == 0 && !(s_axil_arvalid && s_axil_arready);

    assign s_axil_awready = !address_held && !reset;
    assign s_axil_wready = !data_held && !reset;
    assign s_axil_arready = reading == 0 && !s_axil_rvalid && !reset;
    assign s_axil_bresp = write_refused ? SLVERR : OKAY;
    assign s_axil_rresp = OKAY;

    assign bus_address = reading != 0 ? read_address : write_address;
    assign bus_write = commit && whole;
    assign bus_write_data = write_data;
    assign bus_read = reading[0];

    wire unused = &{1'b0, s_axil_awprot, s_axil_arprot, s_axil_awaddr[1:0], s_axil_araddr[1:0]};

    always @(posedge clk) begin
        if (reset) begin
            address_held <= 1'b0;
            data_held <= 1'b0;
            write_address <= 0;
            write_data <= 0;
            write_strobe <= 0;
            write_refused <= 1'b0;
            read_address <= 0;
            reading <= 3'b000;
            s_axil_bvalid <= 1'b0;
            s_axil_rvalid <= 1'b0;
            s_axil_rdata <= 0;
        end else begin
            if (s_axil_awvalid && s_axil_awready) begin
                address_held <= 1'b1;
                write_address <= s_axil_awaddr[12:2];
            end
            if (s_axil_wvalid && s_axil_wready) begin
                data_held <= 1'b1;
                write_data <= s_axil_wdata;
                write_strobe <= s_axil_wstrb;
            end
            if (commit) begin
                address_held <= 1'b0;
                data_held <= 1'b0;
                write_refused <= !whole;
                s_axil_bvalid <= 1'b1;
            end
            if (s_axil_bvalid && s_axil_bready) s_axil_bvalid <= 1'b0;

            reading <= {reading[1:0], 1'b0};
            if (s_axil_arvalid && s_axil_arready) begin
                read_address <= s_axil_araddr[12:2];
                reading <= 3'b001;
            end
            if (reading[2]) begin
                s_axil_rdata <= bus_read_data;
                s_axil_rvalid <= 1'b1;
            end
            if (s_axil_rvalid && s_axil_rready) s_axil_rvalid <= 1'b0;
        end
    end

endmodule

`default_nettype wire

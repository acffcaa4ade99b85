// The verilated design behind a C interface: cycles, AXI4-Lite accesses, samples, reset; toggles, where they are traced.
#include <cstdint>

#include "Vcarma_top.h"
#include "verilated.h"
#if VM_TRACE_SAIF
#include "verilated_saif_c.h"
#endif

namespace {

constexpr int kPatience = 1000;  // cycles until an access counts as hung

struct Board {
    VerilatedContext context;
    Vcarma_top top{&context};
    uint64_t cycles = 0;
#if VM_TRACE_SAIF
    VerilatedSaifC saif;
    bool tracing = false;
#endif

    Board() {
#if VM_TRACE_SAIF
        context.traceEverOn(true);
        top.trace(&saif, 1);
#endif
        top.s_axi_aresetn = 0;
        top.s_axi_aclk = 0;
        top.s_axil_bready = 1;
        top.s_axil_rready = 1;
        top.s_axil_wstrb = 0xf;
    }

    void cycle() {
        top.s_axi_aclk = 1;
        top.eval();
        top.s_axi_aclk = 0;
        top.eval();
        ++cycles;
#if VM_TRACE_SAIF
        // Once a cycle: all nets but the clocks have settled after the rising edge.
        if (tracing) saif.dump(cycles);
#endif
    }
};

Board *board(void *handle) { return static_cast<Board *>(handle); }

}  // namespace

extern "C" {

void *haltere_carma_create() { return new Board; }

void haltere_carma_destroy(void *handle) { delete board(handle); }

void haltere_carma_run(void *handle, uint64_t cycles) {
    for (Board *b = board(handle); cycles; --cycles) b->cycle();
}

uint64_t haltere_carma_cycles(void *handle) { return board(handle)->cycles; }

// Holds the bus's reset for that many cycles.
void haltere_carma_reset(void *handle, uint32_t cycles) {
    Board *b = board(handle);
    b->top.s_axi_aresetn = 0;
    b->top.s_axil_awvalid = b->top.s_axil_wvalid = b->top.s_axil_arvalid = 0;
    haltere_carma_run(handle, cycles);
    b->top.s_axi_aresetn = 1;
    haltere_carma_run(handle, 2);
}

// Hands over a write's address and never its data.
void haltere_carma_half_write(void *handle, uint32_t address) {
    Board *b = board(handle);
    b->top.s_axil_awaddr = address;
    b->top.s_axil_awvalid = 1;
    b->top.eval();
    for (int wait = 0; wait < kPatience && !b->top.s_axil_awready; ++wait) b->cycle();
    b->cycle();
    b->top.s_axil_awvalid = 0;
}

// Returns the response (0 OKAY, 2 SLVERR), or -1 if there was none.
int haltere_carma_write(void *handle, uint32_t address, uint32_t data) {
    Board *b = board(handle);
    b->top.s_axil_awaddr = address;
    b->top.s_axil_wdata = data;
    b->top.s_axil_awvalid = b->top.s_axil_wvalid = 1;
    for (int wait = 0; wait < kPatience; ++wait) {
        b->top.eval();
        const bool address_taken = b->top.s_axil_awvalid && b->top.s_axil_awready;
        const bool data_taken = b->top.s_axil_wvalid && b->top.s_axil_wready;
        const bool done = b->top.s_axil_bvalid;
        const int response = b->top.s_axil_bresp;
        b->cycle();
        if (address_taken) b->top.s_axil_awvalid = 0;
        if (data_taken) b->top.s_axil_wvalid = 0;
        if (done) return response;
    }
    b->top.s_axil_awvalid = b->top.s_axil_wvalid = 0;
    return -1;
}

// Returns the response, or -1 if there was none.
int haltere_carma_read(void *handle, uint32_t address, uint32_t *data) {
    Board *b = board(handle);
    b->top.s_axil_araddr = address;
    b->top.s_axil_arvalid = 1;
    for (int wait = 0; wait < kPatience; ++wait) {
        b->top.eval();
        const bool taken = b->top.s_axil_arvalid && b->top.s_axil_arready;
        const bool done = b->top.s_axil_rvalid;
        *data = b->top.s_axil_rdata;
        const int response = b->top.s_axil_rresp;
        b->cycle();
        if (taken) b->top.s_axil_arvalid = 0;
        if (done) return response;
    }
    b->top.s_axil_arvalid = 0;
    return -1;
}

// Offers one sample, channel 0 in the low half of the first of four words, to a path's port for one cycle.
int haltere_carma_push(void *handle, uint32_t path, const uint32_t *words) {
    Board *b = board(handle);
    auto &top = b->top;
    const uint64_t two = words[0] | static_cast<uint64_t>(words[1]) << 32;
    switch (path) {
        case 0: top.s_axis_imu_tdata = two & 0xffffffffffffULL; top.s_axis_imu_tvalid = 1; break;
        case 1: top.s_axis_flow_tdata = two & 0xffffffffffffULL; top.s_axis_flow_tvalid = 1; break;
        case 2:
            for (int word = 0; word < 4; ++word) top.s_axis_lidar_tdata[word] = words[word];
            top.s_axis_lidar_tvalid = 1;
            break;
        case 3: top.s_axis_gps_tdata = two; top.s_axis_gps_tvalid = 1; break;
        case 4: top.s_axis_radar_tdata = two & 0xffff; top.s_axis_radar_tvalid = 1; break;
        default: return -1;
    }
    b->cycle();
    top.s_axis_imu_tvalid = top.s_axis_flow_tvalid = top.s_axis_lidar_tvalid = 0;
    top.s_axis_gps_tvalid = top.s_axis_radar_tvalid = 0;
    return 0;
}

#if VM_TRACE_SAIF
// Counts the toggles of every net from here on, for a file in the Switching Activity Interchange Format.
void haltere_carma_trace(void *handle, const char *file) {
    Board *b = board(handle);
    b->saif.open(file);
    b->saif.dump(b->cycles);
    b->tracing = true;
}

void haltere_carma_untrace(void *handle) {
    Board *b = board(handle);
    b->tracing = false;
    b->saif.close();
}
#endif
}

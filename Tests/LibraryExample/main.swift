import BlockDevice
import Ext2
import Reactor

// disk.img is an ext2 image: blkdev-run mkfs --size 64m disk.img
let reactor = ThreadReactor()
let volume = try await Volume.mount(FileDevice(path: "disk.img"), on: reactor)
let file = try await volume.open("hello", create: true)
try await file.write([UInt8](repeating: 7, count: 1 << 20), at: 0)
try await file.truncate(to: 4096)
try await file.synchronize()
let counters = await volume.counters
try await volume.unmount()
reactor.stop()
print("\(counters.writeback.batches) batches, \(counters.device.writes) device writes")

internal import BlockDevice
internal import DeviceLayers
internal import Ext2Tools

/// An image in memory that notes what is written to it: what a repair would ask of a device.
final class RecordedBytes: VolumeBytes {
  private let image: MemoryBytes
  private(set) var history = DeviceHistory()
  init(_ bytes: [UInt8]) { image = MemoryBytes(bytes) }

  var byteCount: UInt64 { image.byteCount }
  func read(at offset: UInt64, into buffer: inout MutableRawSpan) throws(VolumeBytesError) {
    try image.read(at: offset, into: &buffer)
  }
  func write(_ bytes: RawSpan, at offset: UInt64) throws(VolumeBytesError) {
    try image.write(bytes, at: offset)
    let copy = unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
    let write = history.start(
      RecordedWrite(operation: .write, offset: offset, byteCount: copy.count, bytes: copy))
    history.complete(write, isDone: true)
  }
  func synchronize() {
    let flush = history.startFlush()
    history.completeFlush(flush, isDone: true)
  }
}

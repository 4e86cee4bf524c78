internal import BlockDevice
// The layers around the devices of a run.
package import DeviceLayers
internal import Ext2Format
internal import Ext2Tools
internal import SystemPackage

extension WorkloadPlan {
  /// The layers around a device of this run, whose seed is the run's.
  func makeStack() throws(RunError) -> DeviceStack {
    var description = options.stack
    description.seed = jobs[0].randomSeed ?? 0
    do { return try DeviceStack(description) } catch { throw .layers(error) }
  }
}

extension RunReport {
  /// Enters what became of the layers around one more device.
  mutating func add(_ part: StackReport) {
    var sum = layers ?? StackReport()
    sum.add(part)
    layers = sum
    findings += part.violations.map { Finding(.invariantFailed, context: "--strict", found: $0) }
    if let error = part.logError { findings.append(Finding(.ioError, context: "--write-log", found: error)) }
  }
}

extension DeviceStack {
  /// Brings what the rules have damaged into the file: what a faulty device shows lies beside what it holds, which ends with
  /// the process.
  package func settleDamage(onto path: String) throws(RunError) {
    guard let faults, !faults.damagedBlocks.isEmpty else { return }
    try HostFile.with(path, .readWrite) { file throws(Errno) in
      do {
        for (offset, bytes) in faults.damagedContents { _ = try file.writeAll(toAbsoluteOffset: Int64(offset), bytes) }
      } catch let error as Errno { throw error } catch { throw .ioError }
    }
  }
}

/// The ranges of a volume that rules have names for; none where the image holds no volume that makes sense.
package func namedRegions(ofVolume path: String) -> [NamedRegion] {
  guard let file = try? FileBytes(path: path),
    let superblock = try? file.superblock(), let layout = try? superblock.validate(deviceByteCount: file.byteCount)
  else { return [] }
  let shift = UInt64(layout.blockSizeLog2)
  func region(_ name: String, _ first: BlockNumber, _ count: Int) -> NamedRegion {
    let start = UInt64(first.rawValue) << shift
    return NamedRegion(name, start..<start + UInt64(count) << shift)
  }
  var regions = [NamedRegion("super", 1024..<2048)]
  for group in layout.groups {
    let (index, offset) = layout.descriptorPosition(of: group)
    let start = UInt64(layout.descriptorBlock(index).rawValue) << shift + UInt64(offset)
    guard let descriptor = try? file.descriptor(at: start) else { return regions }
    if layout.hasSuperblockBackup(group) { regions.append(region("super", layout.firstBlock(of: group), 1)) }
    for block in [descriptor.blockBitmap, descriptor.inodeBitmap] { regions.append(region("bitmap", block, 1)) }
    regions.append(region("itable", descriptor.inodeTable, layout.inodeTableBlocksPerGroup))
  }
  return regions
}

extension FileBytes {
  fileprivate func superblock() throws -> Superblock {
    let bytes = try bytes(at: 1024, 1024)
    return try unsafe Superblock(decoding: bytes.span.bytes)
  }

  fileprivate func descriptor(at offset: UInt64) throws -> GroupDescriptor {
    let bytes = try bytes(at: offset, GroupDescriptor.byteCount)
    return try unsafe GroupDescriptor(decoding: bytes.span.bytes)
  }

  private func bytes(at offset: UInt64, _ count: Int) throws(VolumeBytesError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    try read(at: offset, into: &raw)
    return bytes
  }
}

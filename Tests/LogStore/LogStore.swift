// A store that only appends: the smallest thing with promises about power cuts, as an example of what the laboratory's
// enumerators and a judge of one's own are for. FaultLabTests/LogStoreTests crashes it.
//
// A record is a header of 32 bytes and a value, padded to whole sectors:
//
//      0   4 magic       4   4 key        8   8 number of the record, from 1 on
//     16   4 length     20   4 zero      24   8 checksum of the record with zeroes here
//
// Recovery reads records from the start until one is not what it should be: what is found is what was put, in order, up to
// some point, and all that was put before the last `synchronize`.
public import BlockDevice
public import Reactor

/// Keys and values on a device.
public actor LogStore {
  /// What a put may not be.
  public enum Problem: Error { case full, tooLong }

  private let reactor: Reactor
  public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  private let queue: RequestQueue
  private var end: UInt64 = 0
  private var count: UInt64 = 0
  private static let magic: UInt32 = 0x4C4F_4731
  private static let headerByteCount = 32
  /// Bytes of the smallest piece that reaches a medium whole.
  public static let sectorByteCount = 512
  /// The longest value, in bytes.
  public static let longestValue = 8192

  /// An empty store on a device that holds zeroes.
  public init(device: sending any BlockDevice, on reactor: Reactor) throws {
    self.reactor = reactor
    queue = try RequestQueue(device: device, reactor: reactor)
  }

  /// Appends a record. It is durable after `synchronize`. Several may be under way at once.
  public func put(_ key: UInt32, _ value: [UInt8]) async throws {
    guard value.count <= Self.longestValue else { throw Problem.tooLong }
    let record = Self.record(key, value, number: count + 1)
    guard end + UInt64(record.count) <= queue.geometry.byteCount else { throw Problem.full }
    // Place and number are taken in one step, so that records lie in the order of their numbers.
    let place = end
    end += UInt64(record.count)
    count += 1
    let buffer = Buffer(byteCount: record.count)
    buffer.withMutableBytes { bytes in
      for index in record.indices { bytes.storeBytes(of: record[index], toByteOffset: index, as: UInt8.self) }
    }
    try await queue.write(buffer, at: place)
  }

  /// Makes durable what was put before: a flush covers the writes that were complete when it was submitted.
  public func synchronize() async throws { try await queue.flush() }

  public func close() { queue.close() }

  /// The device, for whoever looks at it.
  public func withDevice<R: Sendable>(_ body: @Sendable (any BlockDevice) -> R) -> R { body(queue.device) }

  // MARK: Records

  private static func record(_ key: UInt32, _ value: [UInt8], number: UInt64) -> [UInt8] {
    let length = (headerByteCount + value.count + sectorByteCount - 1) / sectorByteCount * sectorByteCount
    var bytes = [UInt8](repeating: 0, count: length)
    func store(_ number: UInt64, _ width: Int, at offset: Int) {
      for index in 0..<width { bytes[offset + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * index)) }
    }
    store(UInt64(magic), 4, at: 0)
    store(UInt64(key), 4, at: 4)
    store(number, 8, at: 8)
    store(UInt64(value.count), 4, at: 16)
    bytes.replaceSubrange(headerByteCount..<headerByteCount + value.count, with: value)
    store(checksum(bytes[...]), 8, at: 24)
    return bytes
  }

  private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  /// The records that a medium holds, in order.
  ///
  /// - Parameter checksAll: false leaves the checksums out, to see what they are for.
  public static func records(in image: [UInt8], checksAll: Bool = true) -> [(key: UInt32, value: [UInt8])] {
    var records: [(key: UInt32, value: [UInt8])] = []
    var start = 0
    while start + headerByteCount <= image.count {
      func load(_ width: Int, at offset: Int) -> UInt64 {
        (0..<width).reversed().reduce(0) { $0 << 8 | UInt64(image[start + offset + $1]) }
      }
      let length = Int(load(4, at: 16))
      guard load(4, at: 0) == magic, load(8, at: 8) == records.count + 1, length <= longestValue else { break }
      let end = start + (headerByteCount + length + sectorByteCount - 1) / sectorByteCount * sectorByteCount
      guard end <= image.count else { break }
      var bytes = Array(image[start..<end])
      bytes.replaceSubrange(24..<32, with: [UInt8](repeating: 0, count: 8))
      guard !checksAll || checksum(bytes[...]) == load(8, at: 24) else { break }
      records.append((UInt32(load(4, at: 4)), Array(bytes[headerByteCount..<headerByteCount + length])))
      start = end
    }
    return records
  }
}

/// What one unit of a file should hold: a generation of the workload's content, byte by byte.
///
/// Nearly all units are of one generation. Those at the ends of unaligned writes and truncates are made of pieces.
struct UnitState: Equatable {
  /// Bytes of one generation, from `start` (in bytes, inside the unit) to the next piece or the unit's end.
  struct Piece: Equatable {
    let start: Int
    let generation: UInt32
  }

  /// Bytes that were in the file before the run: nobody knows them, and they are not compared.
  static let unknown = UInt32.max

  /// Ascending, the first at 0, neighbours of different generations.
  private(set) var pieces: [Piece]

  init(_ generation: UInt32) { pieces = [Piece(start: 0, generation: generation)] }

  /// The generation of the whole unit; nil when it has several.
  var uniform: UInt32? { pieces.count == 1 ? pieces[0].generation : nil }

  /// Lays `generation` over some bytes of the unit, which is `unitSize` bytes long.
  mutating func overlay(_ range: Range<Int>, _ generation: UInt32, unitSize: Int) {
    if range.isEmpty { return }
    var result: [Piece] = []
    func add(_ piece: Piece) {
      if result.last?.generation != piece.generation { result.append(piece) }
    }
    for (index, piece) in pieces.enumerated() {
      let end = index + 1 < pieces.count ? pieces[index + 1].start : unitSize
      if piece.start < range.lowerBound { add(piece) }
      if piece.start <= range.lowerBound && range.lowerBound < end {
        add(Piece(start: range.lowerBound, generation: generation))
      }
      if end > range.upperBound { add(Piece(start: max(piece.start, range.upperBound), generation: piece.generation)) }
    }
    pieces = result
  }

  /// Calls `body` with each range of bytes of one generation, up to `unitSize`.
  func forEachPiece(unitSize: Int, _ body: (Range<Int>, UInt32) -> Void) {
    for (index, piece) in pieces.enumerated() {
      let end = index + 1 < pieces.count ? pieces[index + 1].start : unitSize
      if piece.start < end { body(piece.start..<end, piece.generation) }
    }
  }

  /// The generation of the byte at `offset` inside the unit.
  func generation(at offset: Int) -> UInt32 {
    (pieces.last { $0.start <= offset } ?? pieces[0]).generation
  }
}
